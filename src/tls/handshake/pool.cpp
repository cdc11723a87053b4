#include "tls/handshake/pool.h"

#include <algorithm>
#include <time.h>

#include "tls/handshake/client_hello.h"

namespace millrace::tls {
namespace {

constexpr uint64_t ticket_retry_ns = 60'000'000'000;   // with a server that sends none
constexpr uint64_t ticket_missed_ns = 10'000'000'000;  // with one that has sent none for ticket_patience_ns
constexpr uint64_t ticket_patience_ns = 500'000'000;

uint64_t monotonic_ns() {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

void add(std::atomic<uint64_t>& counter, uint64_t value) {
    counter.store(counter.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
}

}  // namespace

Pool::Pool(const Settings& settings) : workers_(settings.workers), threads_(settings.threads) {
    MILLRACE_ASSERT(settings.threads > 0 && settings.seats > 0 && settings.seats <= 0xffff);
    for (Worker& worker : workers_) {
        for (uint32_t i = 0; i < settings.threads; ++i) worker.lanes.push_back(std::make_unique<Lane>(settings.seats));
        for (uint32_t i = 0; i < settings.seats; ++i) worker.seats.push_back(std::make_unique_for_overwrite<Seat>());
        for (uint32_t i = settings.seats; i-- > 0;) worker.free.push_back(static_cast<uint16_t>(i));
    }
}

Pool::~Pool() {
    for (Worker& worker : workers_)
        for (const auto& seat : worker.seats) wipe(seat->slot);
}

void Pool::set_context(uint16_t context, std::shared_ptr<const Context> value) {
    if (value && !value->is_server()) return set_servers(context, std::make_shared<Servers>(std::move(value)));
    set_use(context, {.context = std::move(value)});
}

void Pool::set_servers(uint16_t context, std::shared_ptr<Servers> value) {
    set_use(context, {.servers = std::move(value)});
}

void Pool::set_use(uint16_t context, Use use) {
    const std::lock_guard lock(uses_mutex_);
    if (uses_.size() <= context) uses_.resize(context + size_t{1});
    std::swap(uses_[context], use);  // what was there goes without the lock
}

Pool::Use Pool::use(uint16_t context) {
    const std::lock_guard lock(uses_mutex_);
    return context < uses_.size() ? uses_[context] : Use{};
}

std::optional<uint16_t> Pool::open(uint32_t worker, uint16_t context, uint64_t owner) {
    std::vector<uint16_t>& free = workers_[worker].free;
    if (free.empty()) return std::nullopt;
    const uint16_t number = free.back();
    free.pop_back();
    Seat& seat = seat_of(worker, number);
    seat.taken = true;
    const auto& lanes = workers_[worker].lanes;
    const auto shortest = std::ranges::min_element(lanes, {}, [](const auto& lane) { return lane->waiting(); });
    seat.lane = static_cast<uint16_t>(shortest - lanes.begin());
    seat.context = context;
    seat.owner = owner;
    return number;
}

std::optional<uint16_t> Pool::open(uint32_t worker, uint16_t context, const ServerPeer& peer, uint64_t owner) {
    const std::optional<uint16_t> number = open(worker, context, owner);
    if (number) seat_of(worker, *number).server = peer;
    return number;
}

size_t Pool::put(uint32_t worker, uint16_t number, Bytes bytes) {
    Seat& seat = seat_of(worker, number);
    MILLRACE_ASSERT(seat.taken && !seat.with_thread);
    const size_t length = std::min(bytes.size(), seat.input.size() - seat.input_bytes);
    std::copy_n(bytes.begin(), length, seat.input.begin() + static_cast<ptrdiff_t>(seat.input_bytes));
    seat.input_bytes += length;
    return length;
}

void Pool::submit(uint32_t worker, uint16_t number) {
    Seat& seat = seat_of(worker, number);
    MILLRACE_ASSERT(seat.taken && !seat.with_thread);
    MILLRACE_ASSERT(seat.ending || seat.ticket_wanted || seat.state == Handshake::State::under_way);
    seat.with_thread = true;
    seat.submitted_ns = monotonic_ns();
    Lane& lane = lane_of(worker, number);
    if (seat.answered || seat.ending || seat.server) return lane.answered.push(number);
    const bool resuming = offers_resumption(Bytes(seat.input).first(seat.input_bytes));
    (resuming ? lane.resuming : lane.fresh).push(number);
}

std::optional<uint16_t> Pool::poll(uint32_t number) {
    Worker& worker = workers_[number];
    for (size_t i = 0; i < worker.lanes.size(); ++i) {
        IndexRing& back = worker.lanes[worker.polled++ % worker.lanes.size()]->back;
        while (const std::optional<uint16_t> seat = back.pop()) {
            Seat& come = *worker.seats[*seat];
            come.with_thread = false;
            if (!come.closed) return seat;
            if (come.ending)
                release(number, *seat);
            else
                end(number, *seat);
        }
    }
    return std::nullopt;
}

Pool::Answer Pool::answer(uint32_t worker, uint16_t number) const {
    const Seat& seat = *workers_[worker].seats[number];
    return {seat.owner,   seat.state,   seat.output,        seat.slot,     seat.leftover,
            seat.resumed, seat.subject, seat.ticket_wanted, seat.own_fault};
}

void Pool::close(uint32_t worker, uint16_t number) {
    Seat& seat = seat_of(worker, number);
    MILLRACE_ASSERT(seat.taken && !seat.closed);
    seat.closed = true;
    if (!seat.with_thread) end(worker, number);  // else poll() goes on with it
}

/// OpenSSL's object is freed by who made it.
void Pool::end(uint32_t worker, uint16_t number) {
    Seat& seat = seat_of(worker, number);
    if (!seat.begun) return release(worker, number);
    seat.ending = true;
    submit(worker, number);
}

void Pool::release(uint32_t worker, uint16_t number) {
    Seat& seat = seat_of(worker, number);
    wipe(seat.slot);
    seat.input_bytes = 0;
    seat.taken = seat.closed = seat.ending = seat.begun = seat.answered = seat.resumed = seat.own_fault = false;
    seat.state = Handshake::State::under_way;
    seat.server.reset();
    workers_[worker].free.push_back(number);
}

uint32_t Pool::waiting(uint32_t worker) const {
    uint32_t count = 0;
    for (const auto& lane : workers_[worker].lanes) count += lane->waiting();
    return count;
}

bool Pool::serve(uint32_t number) {
    if (serve(number, &Lane::answered)) return true;
    uint32_t& turn = threads_[number].turn;
    const bool fresh_first = turn % 4 == 3;
    const bool served = serve(number, fresh_first ? &Lane::fresh : &Lane::resuming) ||
                        serve(number, fresh_first ? &Lane::resuming : &Lane::fresh);
    turn += served ? 1 : 0;
    return served;
}

/// One step of those rings, the workers in turn.
bool Pool::serve(uint32_t number, IndexRing Lane::*ring) {
    Thread& thread = threads_[number];
    for (size_t i = 0; i < workers_.size(); ++i) {
        Worker& worker = workers_[thread.served++ % workers_.size()];
        Lane& lane = *worker.lanes[number];
        const std::optional<uint16_t> seat = (lane.*ring).pop();
        if (!seat) continue;
        step(thread, *worker.seats[*seat]);
        lane.back.push(*seat);
        return true;
    }
    return false;
}

void Pool::begin(Thread& thread, Seat& seat, uint64_t now_ns) {
    seat.begun = true;
    seat.begun_ns = now_ns;
    const Use used = use(seat.context);
    HandshakeSettings settings;
    std::shared_ptr<const Context> context = used.context;
    if (seat.server) {
        seat.servers = used.servers;
        context = used.servers ? used.servers->context() : nullptr;
    }
    if (seat.servers) {
        seat.offered = seat.servers->session(*seat.server);
        settings = {.server_name = seat.servers->name_of(*seat.server), .session = seat.offered.get()};
    }
    if (context) {
        seat.handshake = std::make_unique<Handshake>(context, settings, &thread.counters.tally);
    } else {
        seat.state = Handshake::State::failed;
        seat.own_fault = true;
    }
}

void Pool::step(Thread& thread, Seat& seat) {
    const uint64_t start = monotonic_ns(), waited = start - seat.submitted_ns;
    CryptoCounters& counters = thread.counters;
    add(counters.waited_ns, waited);
    if (waited > counters.waited_longest_ns.load(std::memory_order_relaxed)) counters.waited_longest_ns.store(waited);
    seat.output.clear();
    if (seat.ending) {
        take_down(seat, start);
    } else {
        if (seat.ticket_wanted) {
            wipe(seat.slot);
            seat.leftover.clear();
            search_ticket(seat, Bytes(seat.input).first(seat.input_bytes), start);
        } else {
            shake(thread, seat, start);
        }
        seat.input_bytes = 0;
        add(counters.steps, 1);
    }
    add(counters.busy_ns, monotonic_ns() - start);
}

void Pool::shake(Thread& thread, Seat& seat, uint64_t now_ns) {
    if (!seat.begun) begin(thread, seat, now_ns);
    if (seat.handshake) seat.state = seat.handshake->step(Bytes(seat.input).first(seat.input_bytes), seat.output);
    seat.answered = seat.answered || !seat.output.empty();
    if (seat.state == Handshake::State::done) finish(thread, seat, now_ns);
    CryptoCounters& counters = thread.counters;
    add(counters.done, seat.state == Handshake::State::done ? 1 : 0);
    add(counters.resumed, seat.state == Handshake::State::done && seat.resumed ? 1 : 0);
    add(counters.failed, seat.state == Handshake::State::failed ? 1 : 0);
    if (seat.state != Handshake::State::failed || !seat.servers) return;
    const auto line = seat.servers->failed(*seat.server, seat.handshake->error(), now_ns);
    if (line && report_) report_(*line);
}

void Pool::finish(Thread& thread, Seat& seat, uint64_t now_ns) {
    Handshake& handshake = *seat.handshake;
    seat.resumed = handshake.resumed();
    seat.subject = seat.server ? std::string() : handshake.peer_subject();
    const size_t suite = handshake.suite_number(), group = group_index(handshake.group());
    if (seat.servers) harvest(seat, now_ns);
    if (!handshake.hand_over(thread.crypto, seat.slot, seat.leftover)) {
        seat.state = Handshake::State::failed;
        if (seat.ticket_wanted) seat.servers->give_up(*seat.server, now_ns);
        seat.ticket_wanted = false;
        return;
    }
    Tally::count(thread.counters.tally.suites[suite]);
    Tally::count(thread.counters.tally.groups[group]);
    if (seat.ticket_wanted) search_ticket(seat, {}, now_ns);  // perhaps it is in the leftover
}

/// Takes the session of a handshake with a server, where one is wanted, or has it stay for the ticket.
void Pool::harvest(Seat& seat, uint64_t now_ns) {
    const auto refused = seat.offered && !seat.resumed ? std::optional(seat.begun_ns) : std::nullopt;
    if (!seat.servers->harvest(*seat.server, refused, now_ns)) return;
    Owned<SSL_SESSION> session = seat.handshake->session();
    if (session && session != seat.offered)
        seat.servers->store(*seat.server, std::move(session), now_ns);
    else if (seat.handshake->version() == Version::tls13)
        seat.handshake->stay();
    else
        seat.servers->give_up(*seat.server, now_ns);
    seat.ticket_wanted = seat.handshake->stays();
    seat.searched_bytes = 0;
}

/// With a ticket OpenSSL makes a new session of the one that it had.
void Pool::search_ticket(Seat& seat, Bytes records, uint64_t now_ns) {
    seat.handshake->read_along(records);
    seat.searched_bytes += records.size();
    Owned<SSL_SESSION> session = seat.handshake->session();
    if (session && session != seat.offered)
        seat.servers->store(*seat.server, std::move(session), now_ns);
    else if (seat.searched_bytes < ticket_search_bytes_max)
        return;
    else
        seat.servers->give_up(*seat.server, now_ns + ticket_retry_ns);
    seat.ticket_wanted = false;
    seat.handshake.reset();
}

/// Frees what the steps have made.
void Pool::take_down(Seat& seat, uint64_t now_ns) {
    const bool waited = now_ns - seat.begun_ns >= ticket_patience_ns;
    if (seat.ticket_wanted) seat.servers->give_up(*seat.server, now_ns + (waited ? ticket_missed_ns : 0));
    seat.ticket_wanted = false;
    seat.handshake.reset();
    seat.offered.reset();
    seat.servers.reset();
    seat.leftover.clear();
}

}  // namespace millrace::tls
