// Handshakes in flight, of clients and of ours with servers: the peer's bytes go to a seat (handshakes.h), the answers
// into the send queue. When no seat is free, the relay waits in a queue of the engine, first come, first served; the
// rest of what its peer says waits in its window. A deadline bounds the whole. Three kinds seek seats, and each has a
// queue: control's health probes go first, since one that waits as long as everybody at the busiest time would look
// like a dead server; then relays for their servers, since their clients have been served already; then clients.
// Neither side gets the last quarter of the seats, and probes no more than a quarter: a storm of clients keeps no
// server out, nor do servers that say nothing keep clients out.

#include <algorithm>
#include <cstring>

#include "dataplane/base/fault.h"
#include "dataplane/relay/engine.h"
#include "dataplane/tcp/sender.h"

namespace millrace::relay {
namespace {

/// How long a peer whose handshake has a seat may be silent while others wait for one, and how long a seat that only
/// waits for a ticket is kept.
constexpr TimeUs seat_patience_us = us_per_s;

}  // namespace

/// What the side's peer has said and no step has taken.
store::ChunkId& Engine::handshake_words(Ref r, Side side) {
    return side == Side::client ? setup_of(r).request : setup_of(r).response;
}

/// Whether the side's handshake is under way, or about to be.
bool Engine::shakes_hands(Ref r, Side side) {
    const bool possible = side == Side::client ? r.relay.phase == Phase::tls_handshake
                                               : r.relay.phase == Phase::connecting || r.relay.phase == Phase::stream;
    return possible && r.relay.has_tls(side) && r.relay.is_open(side) && !tls_end(r, side).established();
}

size_t Engine::consume_handshake(Ref r, Side side, std::span<const uint8_t> bytes) {
    if (!shakes_hands(r, side)) return bytes.size();
    return append(r, handshake_words(r, side), bytes.first(std::min<size_t>(bytes.size(), handshake_room(r, side))));
}

/// What a client says in its handshake waits for the next step, and no more than a few of them take; a server's chain
/// of certificates is longer.
uint32_t Engine::handshake_room(Ref r, Side side) {
    const store::ChunkId held = handshake_words(r, side);
    const uint32_t bytes = held == store::no_chunk ? 0 : r.shard.chunks.header(held).length;
    const uint32_t most = side == Side::client ? handshake_bytes_held_max : store::chunk_payload_max;
    return most - std::min(bytes, most);
}

/// Takes the next step, if there is something to say and the seat is ours.
void Engine::feed_handshake(Ref r, Side side) {
    const TlsEnd& end = tls_end(r, side);
    if (handshake_words(r, side) == store::no_chunk || end.waits_for_seat != 0 || setup_of(r).deadline <= now_) return;
    if (end.seat == no_seat && (side == Side::server || !client_may_begin(r))) return;
    if (!seats_[end.seat].stepping) step_handshake(r, side);
}

void Engine::step_handshake(Ref r, Side side) {
    const uint16_t number = tls_end(r, side).seat;
    store::ChunkId& words = handshake_words(r, side);
    if (words != store::no_chunk) {
        const std::span<const uint8_t> bytes = r.shard.chunks.payload(words);
        const size_t taken = handshakes_->put(number, bytes);
        if (taken == bytes.size()) {
            r.shard.chunks.free(words);
            words = store::no_chunk;
        } else {
            store::ChunkHeader& header = r.shard.chunks.header(words);
            std::memmove(r.shard.chunks.capacity(words).data(), bytes.data() + taken, bytes.size() - taken);
            header.length = static_cast<uint16_t>(bytes.size() - taken);
        }
    }
    seats_[number].stepping = true;
    handshakes_->submit(number);
}

Engine::Seeker Engine::seeker_of(Ref r, Side side) {
    return side == Side::client ? Seeker::client : r.relay.phase == Phase::stream ? Seeker::probe : Seeker::server;
}

bool Engine::may_sit(Seeker seeker) const {
    const auto taken = [&](Seeker by) { return seats_taken_[static_cast<size_t>(by)]; };
    const size_t most = seats_.size() == 1 ? 1 : seats_.size() - quarter_of_seats();
    if (seeker == Seeker::client) return taken(seeker) < most;
    return (seeker == Seeker::server || !probes_have_enough()) && taken(Seeker::probe) + taken(Seeker::server) < most;
}

size_t Engine::quarter_of_seats() const {
    return std::max<size_t>(seats_.size() / 4, 1);
}

bool Engine::probes_have_enough() const {
    return seats_taken_[static_cast<size_t>(Seeker::probe)] >= quarter_of_seats();
}

bool Engine::take_seat(Ref r, Seeker seeker) {
    if (!may_sit(seeker)) return false;
    const auto open_to_server = [&] {
        const uint16_t slot = r.relay.server_slot;
        return handshakes_->open_to({.backend_slot = config_->server_by_slot(slot).backend_slot,
                                     .server_slot = slot,
                                     .address = r.relay.server_hot.peer});
    };
    const std::optional<uint16_t> seat =
        seeker == Seeker::client ? handshakes_->open(r.relay.listener_slot) : open_to_server();
    if (!seat) return false;
    ++seats_taken_[static_cast<size_t>(seeker)];
    seats_[*seat] = {.shard = &r.shard, .index = r.index, .seeker = seeker, .stepping = false, .since = now_};
    tls_end(r, side_of(seeker)).seat = *seat;
    return true;
}

void Engine::wait_for_seat(Ref r, Seeker seeker) {
    WaitingQueue& queue = waiting(seeker);
    if (queue.count == queue.places.size() && queue.gone >= queue.count / 4) drop_gone(seeker);
    if (queue.count == queue.places.size()) {
        if (seeker != Seeker::client) return fail_server_handshake(r, CloseReason::tls_refused, false);
        ++stats_.worker.tls.handshakes_refused;
        return abort(r, Closer::balancer, CloseReason::tls_refused);
    }
    tls_end(r, side_of(seeker)).waits_for_seat = waits_as(seeker);
    queue.push({&r.shard, r.shard.relays.handle(r.index)});
}

/// It may be gone, or have waited for an earlier server.
bool Engine::waits(const Waiting& entry, Seeker seeker) const {
    const TlsEnd& end = entry.shard->tls_of(side_of(seeker)).ends[entry.handle.index];
    return entry.shard->relays.get(entry.handle) != nullptr && end.waits_for_seat == waits_as(seeker);
}

/// While others of that side wait, who has had his answer and says nothing for a second loses his seat, the most silent
/// first: or as many silent peers as there are seats would keep everybody out. Looked for once in a millisecond. A
/// server is not blamed for it: how long it may take is the configuration's to say. A probe is to find that out, and
/// has its time, unless its seat is the only one.
void Engine::reclaim_seat(Side side) {
    TimeUs& looked_at = reclaimed_at_[static_cast<size_t>(side)];
    if (now_ - looked_at < us_per_ms) return;
    looked_at = now_;
    const Seat* chosen = nullptr;
    for (const Seat& seat : seats_) {
        if (seat.shard == nullptr || side_of(seat.seeker) != side || seat.stepping) continue;
        if (seat.seeker == Seeker::probe && seats_.size() > 1) continue;
        if (now_ - seat.since < seat_patience_us) continue;
        if (chosen == nullptr || seat.since < chosen->since) chosen = &seat;
    }
    if (chosen == nullptr) return;
    const Ref r = ref(*chosen->shard, chosen->index);
    ++stats_.worker.tls.seats_reclaimed;
    close_seat(r, side);
    if (!shakes_hands(r, side)) return;
    if (side == Side::server) return fail_server_handshake(r, CloseReason::tls_refused, false);
    abort(r, Closer::balancer, CloseReason::tls_refused);
}

/// Of the seats that wait for no more than a ticket: the next one, if it has waited long enough. Called often.
void Engine::release_idle_seat() {
    if (seats_.empty()) return;
    idle_seat_at_ = idle_seat_at_ + 1 < seats_.size() ? idle_seat_at_ + 1 : 0;
    const Seat& seat = seats_[idle_seat_at_];
    if (seat.shard == nullptr || seat.stepping || now_ - seat.since < seat_patience_us) return;
    const Ref r = ref(*seat.shard, seat.index);
    const Side side = side_of(seat.seeker);
    if (tls_end(r, side).established()) close_seat(r, side);
}

/// Makes room in the queue: those that have ended give up their places.
void Engine::drop_gone(Seeker seeker) {
    WaitingQueue& queue = waiting(seeker);
    for (uint32_t left = queue.count; left > 0; --left) {
        const Waiting entry = queue.pop();
        if (waits(entry, seeker)) queue.push(entry);
    }
    queue.gone = 0;
}

void Engine::close_seat(Ref r, Side side) {
    TlsEnd& end = tls_end(r, side);
    if (end.seat == no_seat) return;
    if (fault(Fault::relay_tls_seat_kept)) return;
    handshakes_->close(end.seat);
    --seats_taken_[static_cast<size_t>(seats_[end.seat].seeker)];
    seats_[end.seat] = {};
    end.seat = no_seat;
}

/// Answers in, and seats for those who wait. True when there was something to do.
bool Engine::poll_handshakes() {
    bool worked = false;
    while (const std::optional<uint16_t> seat = handshakes_->poll()) {
        worked = true;
        on_handshake_answer(*seat);
    }
    for (const Seeker seeker : seekers)
        while (waiting(seeker).count > 0 && seat_waiting(seeker)) worked = true;
    return worked;
}

/// Seats the first of those who wait, or takes it out of the queue when it waits no longer. False without a seat.
bool Engine::seat_waiting(Seeker seeker) {
    WaitingQueue& queue = waiting(seeker);
    const Waiting first = queue.front();
    if (!waits(first, seeker)) {
        if (queue.gone > 0) --queue.gone;
        queue.pop();
        return true;
    }
    const Side side = side_of(seeker);
    const Ref r = ref(*first.shard, first.handle.index);
    const bool seated = shakes_hands(r, side) && take_seat(r, seeker);
    if (!seated && shakes_hands(r, side)) {
        if (seeker != Seeker::probe || !probes_have_enough()) reclaim_seat(side);
        return false;
    }
    tls_end(r, side).waits_for_seat = 0;  // without a seat it is about to be freed
    queue.pop();
    if (!seated) return true;
    if (side == Side::server) set_server_handshake_deadline(r);
    step_handshake(r, side);
    mark_ready(r);
    return true;
}

void Engine::on_handshake_answer(uint16_t number) {
    Seat& seat = seats_[number];
    seat.stepping = false;
    const Ref r = ref(*seat.shard, seat.index);
    const Side side = side_of(seat.seeker);
    const Handshakes::Answer answer = handshakes_->answer(number);
    const bool harvests = r.relay.is_open(side) && tls_end(r, side).established() && answer.ticket_wanted;
    if (harvests) return;
    if (!shakes_hands(r, side)) return close_seat(r, side);
    mark_ready(r);
    if (!answer.output.empty()) seat.since = now_;  // not for every byte that leads nowhere
    if (tcp::send(context(r.shard), r.relay.endpoint(side), answer.output) != answer.output.size()) {
        ++stats_.worker.chunks_exhausted;
        if (side == Side::server) return fail_server_handshake(r, CloseReason::no_memory, false);
        return abort(r, Closer::balancer, CloseReason::no_memory);
    }
    switch (answer.state) {
        case Handshakes::State::under_way:
            feed_handshake(r, side);
            if (r.relay.hot(side).has(tcp::flag_fin_received)) on_peer_fin(r, side);
            return;
        case Handshakes::State::failed:
            if (side == Side::client) return fail_client_handshake(r, answer.own_fault);
            flush_side(r, side);  // the alert goes before the reset
            return fail_server_handshake(r, answer.own_fault ? CloseReason::tls_refused : CloseReason::tls_handshake,
                                         !answer.own_fault);
        case Handshakes::State::done:
            return side == Side::client ? end_client_handshake(r, answer) : end_server_handshake(r, answer);
    }
}

/// What came behind a handshake: first what the handshake had been given, then what had to wait (`held`, or no_chunk),
/// which is freed.
void Engine::take_leftover(Ref r, Side side, const Handshakes::Answer& answer, store::ChunkId held) {
    const bool harvests = answer.ticket_wanted;
    size_t taken = 0;
    bool all = true;
    if (r.relay.is_open(side) && !fault(Fault::relay_tls_leftover_lost)) {
        taken = consume_records(r, side, answer.leftover);
        all = taken == answer.leftover.size();
    }
    if (!harvests) close_seat(r, side);
    if (held != store::no_chunk) {
        const std::span<const uint8_t> bytes = r.shard.chunks.payload(held);
        const size_t more = all && r.relay.is_open(side) ? consume(r, side, bytes) : 0;
        all = all && more == bytes.size();
        taken += more;
        r.shard.chunks.free(held);
    }
    if (!r.relay.is_open(side)) return;
    if (!all) return abort(r, Closer::balancer, CloseReason::no_memory);
    tcp::Events events;
    events.consumed = static_cast<uint32_t>(taken);
    if (r.relay.hot(side).has(tcp::flag_fin_received)) events.bits = tcp::event_peer_fin;
    on_events(r, side, events);
}

/// Whether a peer that says no more may have said enough: its last words are with a crypto thread. A client that waits
/// for a seat has said but a ClientHello, which no handshake can do with.
bool Engine::handshake_goes_on(Ref r, Side side) {
    const TlsEnd& end = tls_end(r, side);
    return end.seat != no_seat && seats_[end.seat].stepping;
}

/// By its deadline.
void Engine::give_up_handshake(Ref r, Side side) {
    if (shakes_hands(r, side)) setup_of(r).deadline = now_;
    mark_ready(r);
}

/// The shard leaves for another worker, whose seats are others: its handshakes end there, by their deadlines.
void Engine::give_up_handshakes(Shard& shard) {
    for (const Seat& seat : seats_) {
        if (seat.shard != &shard) continue;
        const Ref r = ref(shard, seat.index);
        const Side side = side_of(seat.seeker);
        give_up_handshake(r, side);
        close_seat(r, side);
    }
    for (const Seeker seeker : seekers) give_up_waiting(shard, seeker);
}

void Engine::give_up_waiting(Shard& shard, Seeker seeker) {
    const Side side = side_of(seeker);
    WaitingQueue& queue = waiting(seeker);
    for (uint32_t left = queue.count; left > 0; --left) {
        const Waiting entry = queue.pop();
        if (entry.shard != &shard) {
            queue.push(entry);
        } else if (waits(entry, seeker)) {
            const Ref r = ref(shard, entry.handle.index);
            tls_end(r, side).waits_for_seat = 0;
            give_up_handshake(r, side);
        } else if (queue.gone > 0) {
            --queue.gone;
        }
    }
}

}  // namespace millrace::relay
