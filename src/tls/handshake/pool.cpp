#include "tls/handshake/pool.h"

#include <algorithm>
#include <time.h>

#include "tls/handshake/client_hello.h"

namespace millrace::tls {
namespace {

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
    MILLRACE_ASSERT(!value || value->is_server());
    const std::lock_guard lock(contexts_mutex_);
    if (contexts_.size() <= context) contexts_.resize(context + size_t{1});
    contexts_[context] = std::move(value);
}

std::shared_ptr<const Context> Pool::context(uint16_t number) {
    const std::lock_guard lock(contexts_mutex_);
    return number < contexts_.size() ? contexts_[number] : nullptr;
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
    MILLRACE_ASSERT(seat.ending || seat.state == Handshake::State::under_way);
    seat.with_thread = true;
    seat.submitted_ns = monotonic_ns();
    Lane& lane = lane_of(worker, number);
    if (seat.answered || seat.ending) return lane.answered.push(number);
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
    return {seat.owner, seat.state, seat.output, seat.slot, seat.leftover, seat.resumed, seat.subject};
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
    seat.taken = seat.closed = seat.ending = seat.begun = seat.answered = seat.resumed = false;
    seat.state = Handshake::State::under_way;
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

void Pool::begin(Thread& thread, Seat& seat) {
    seat.begun = true;
    const std::shared_ptr<const Context> used = context(seat.context);
    if (used)
        seat.handshake = std::make_unique<Handshake>(used, HandshakeSettings{}, &thread.counters.tally);
    else
        seat.state = Handshake::State::failed;
}

void Pool::step(Thread& thread, Seat& seat) {
    const uint64_t start = monotonic_ns(), waited = start - seat.submitted_ns;
    CryptoCounters& counters = thread.counters;
    add(counters.waited_ns, waited);
    if (waited > counters.waited_longest_ns.load(std::memory_order_relaxed)) counters.waited_longest_ns.store(waited);
    seat.output.clear();
    if (seat.ending) {
        seat.handshake.reset();
        seat.leftover.clear();
    } else {
        if (!seat.begun) begin(thread, seat);
        if (seat.handshake) seat.state = seat.handshake->step(Bytes(seat.input).first(seat.input_bytes), seat.output);
        seat.input_bytes = 0;
        seat.answered = seat.answered || !seat.output.empty();
        if (seat.state == Handshake::State::done) {
            seat.resumed = seat.handshake->resumed();
            seat.subject = seat.handshake->peer_subject();
            const size_t suite = seat.handshake->suite_number(), group = group_index(seat.handshake->group());
            if (seat.handshake->hand_over(thread.crypto, seat.slot, seat.leftover)) {
                Tally::count(counters.tally.suites[suite]);
                Tally::count(counters.tally.groups[group]);
            } else {
                seat.state = Handshake::State::failed;
            }
        }
        add(counters.steps, 1);
        add(counters.done, seat.state == Handshake::State::done ? 1 : 0);
        add(counters.resumed, seat.state == Handshake::State::done && seat.resumed ? 1 : 0);
        add(counters.failed, seat.state == Handshake::State::failed ? 1 : 0);
    }
    add(counters.busy_ns, monotonic_ns() - start);
}

}  // namespace millrace::tls
