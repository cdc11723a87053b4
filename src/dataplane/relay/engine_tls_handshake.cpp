// The handshake of a client with TLS, before its request: its bytes go to a seat (handshakes.h), the answers into its
// send queue. Until it is done the relay has its Setup, whose `request` holds what waits for the next step.
//
// A seat is taken when the whole ClientHello is there, so nobody holds one by saying little, and that first step is not
// wasted. When no seat is free, the relay waits in a queue of the engine, first come, first served; the rest of what
// the client says waits in its window. The listener's handshake timeout bounds the whole: who gets no seat until then
// is reset, like whoever finds the queue full.

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/base/fault.h"
#include "dataplane/relay/engine.h"
#include "dataplane/tcp/sender.h"
#include "tls/record/record.h"

namespace millrace::relay {
namespace {

constexpr size_t handshake_header_bytes = 4;  // of a message: its type, 24 bits of length
constexpr uint8_t record_version_major = 3;

/// How long a client that has a seat may be silent while others wait for one.
constexpr TimeUs seat_patience_us = us_per_s;

enum class Hello : uint8_t { none, part, whole };

/// How much of a ClientHello is there. It may be cut over several records; who sends more than one step takes is
/// heard up to there. `none`: this is no TLS.
Hello look_for_hello(std::span<const uint8_t> bytes) {
    size_t body = 0, wanted = handshake_header_bytes;
    std::array<uint8_t, handshake_header_bytes> header{};
    for (size_t at = 0; at < bytes.size();) {
        const std::span<const uint8_t> record = bytes.subspan(at);
        if (record[0] != static_cast<uint8_t>(tls::ContentType::handshake)) return Hello::none;
        if (record.size() > 1 && record[1] != record_version_major) return Hello::none;
        if (record.size() < tls::record_header_bytes) break;
        const size_t length = size_t{record[3]} << 8 | record[4];
        const std::span<const uint8_t> part =
            record.subspan(tls::record_header_bytes, std::min(length, record.size() - tls::record_header_bytes));
        for (size_t i = 0; body + i < header.size() && i < part.size(); ++i) header[body + i] = part[i];
        body += part.size();
        if (body >= header.size())
            wanted = header.size() + (size_t{header[1]} << 16 | size_t{header[2]} << 8 | header[3]);
        if (body >= wanted) return Hello::whole;
        at += tls::record_header_bytes + part.size();
    }
    return bytes.size() >= handshake_step_bytes ? Hello::whole : Hello::part;
}

}  // namespace

/// A client with TLS has connected.
void Engine::begin_handshake(Ref r, const config::Listener& listener) {
    r.relay.set(flag_tls);
    ++r.shard.tls_relays;
    tls_end(r) = {};
    tls_end(r).seat = no_seat;
    set_phase(r, Phase::tls_handshake, now_ + listener.record->handshake_timeout_ms * us_per_ms);
}

/// What a client says in its handshake waits for the next step, and no more than that.
size_t Engine::consume_handshake(Ref r, std::span<const uint8_t> bytes) {
    return append(r, setup_of(r).request, bytes.first(std::min<size_t>(bytes.size(), handshake_room(r))));
}

uint32_t Engine::handshake_room(Ref r) {
    const store::ChunkId held = setup_of(r).request;
    const uint32_t bytes = held == store::no_chunk ? 0 : r.shard.chunks.header(held).length;
    return handshake_bytes_held_max - std::min(bytes, handshake_bytes_held_max);
}

/// Takes the next step, if there is something to say and the seat is ours.
void Engine::feed_handshake(Ref r) {
    Setup& setup = setup_of(r);
    TlsEnd& end = tls_end(r);
    if (setup.request == store::no_chunk || end.waits_for_seat != 0 || setup.deadline <= now_) return;
    const std::span<const uint8_t> bytes = r.shard.chunks.payload(setup.request);
    if (end.seat == no_seat) {
        const Hello hello = look_for_hello(bytes);
        if (hello == Hello::none) {
            ++stats_.worker.tls.handshakes_failed;
            return abort(r, Closer::balancer, CloseReason::tls_handshake);
        }
        if (hello == Hello::part) return;
        if (waiting_.count > 0 || !take_seat(r)) return wait_for_seat(r);
    }
    Seat& seat = seats_[end.seat];
    if (seat.stepping) return;
    const size_t taken = handshakes_->put(end.seat, bytes);
    if (taken == bytes.size()) {
        r.shard.chunks.free(setup.request);
        setup.request = store::no_chunk;
    } else {
        store::ChunkHeader& header = r.shard.chunks.header(setup.request);
        std::memmove(r.shard.chunks.capacity(setup.request).data(), bytes.data() + taken, bytes.size() - taken);
        header.length = static_cast<uint16_t>(bytes.size() - taken);
    }
    seat.stepping = true;
    handshakes_->submit(end.seat);
}

bool Engine::take_seat(Ref r) {
    const std::optional<uint16_t> seat = handshakes_->open(r.relay.listener_slot);
    if (!seat) return false;
    seats_[*seat] = {.shard = &r.shard, .index = r.index, .stepping = false, .since = now_};
    tls_end(r).seat = *seat;
    return true;
}

void Engine::wait_for_seat(Ref r) {
    if (waiting_.count == waiting_.places.size() && waiting_.gone >= waiting_.count / 4) drop_gone();
    if (waiting_.count == waiting_.places.size()) {
        ++stats_.worker.tls.handshakes_refused;
        return abort(r, Closer::balancer, CloseReason::tls_refused);
    }
    tls_end(r).waits_for_seat = 1;
    waiting_.push({&r.shard, r.shard.relays.handle(r.index)});
}

/// While others wait, who has had his answer and says nothing for a second loses his seat, the most silent first: or
/// as many silent clients as there are seats would keep everybody out. Looked for once in a millisecond.
void Engine::reclaim_seat() {
    if (now_ - reclaimed_at_ < us_per_ms) return;
    reclaimed_at_ = now_;
    const Seat* chosen = nullptr;
    for (const Seat& seat : seats_) {
        if (seat.shard == nullptr || seat.stepping || now_ - seat.since < seat_patience_us) continue;
        if (chosen == nullptr || seat.since < chosen->since) chosen = &seat;
    }
    if (chosen == nullptr) return;
    const Ref r = ref(*chosen->shard, chosen->index);
    ++stats_.worker.tls.seats_reclaimed;
    close_seat(r);
    abort(r, Closer::balancer, CloseReason::tls_refused);
}

/// Makes room in the queue: those that have ended give up their places.
void Engine::drop_gone() {
    for (uint32_t left = waiting_.count; left > 0; --left) {
        const Waiting entry = waiting_.pop();
        if (entry.shard->relays.get(entry.handle) != nullptr) waiting_.push(entry);
    }
    waiting_.gone = 0;
}

void Engine::close_seat(Ref r) {
    TlsEnd& end = tls_end(r);
    if (end.seat == no_seat) return;
    if (fault(Fault::relay_tls_seat_kept)) return;
    handshakes_->close(end.seat);
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
    while (waiting_.count > 0) {
        const Waiting first = waiting_.front();
        const Relay* relay = first.shard->relays.get(first.handle);
        if (relay != nullptr && relay->phase == Phase::tls_handshake && relay->has(flag_client_open)) {
            const Ref r = ref(*first.shard, first.handle.index);
            if (!take_seat(r)) {
                reclaim_seat();
                break;
            }
            tls_end(r).waits_for_seat = 0;
            feed_handshake(r);
            mark_ready(r);
            worked = true;
        } else if (relay != nullptr) {
            first.shard->tls_ends[first.handle.index].waits_for_seat = 0;  // it is about to be freed
        } else if (waiting_.gone > 0) {
            --waiting_.gone;
        }
        waiting_.pop();
    }
    return worked;
}

void Engine::on_handshake_answer(uint16_t number) {
    Seat& seat = seats_[number];
    seat.stepping = false;
    const Ref r = ref(*seat.shard, seat.index);
    if (r.relay.phase != Phase::tls_handshake || !r.relay.is_open(Side::client)) return close_seat(r);
    mark_ready(r);
    const Handshakes::Answer answer = handshakes_->answer(number);
    if (!answer.output.empty()) seat.since = now_;  // not for every byte that leads nowhere
    if (tcp::send(context(r.shard), r.relay.endpoint(Side::client), answer.output) != answer.output.size()) {
        ++stats_.worker.chunks_exhausted;
        return abort(r, Closer::balancer, CloseReason::no_memory);
    }
    switch (answer.state) {
        case Handshakes::State::under_way:
            feed_handshake(r);
            if (r.relay.client_hot.has(tcp::flag_fin_received)) on_peer_fin(r, Side::client);
            return;
        case Handshakes::State::failed:
            ++stats_.worker.tls.handshakes_failed;
            r.relay.set_end(Closer::balancer, CloseReason::tls_handshake);
            close_seat(r);
            return close_client(r);
        case Handshakes::State::done:
            return end_handshake(r, answer);
    }
}

/// From here on the records are ours. Those that came behind the handshake are opened now: first what the handshake had
/// been given, then what had to wait.
void Engine::end_handshake(Ref r, const Handshakes::Answer& answer) {
    TlsStats& stats = stats_.worker.tls;
    ++(answer.slot.version == tls::Version::tls13 ? stats.handshakes_tls13 : stats.handshakes_tls12);
    if (answer.resumed) ++stats.handshakes_resumed;
    tls_end(r).slot = answer.slot;
    const store::ChunkId held = std::exchange(setup_of(r).request, store::no_chunk);
    const config::Listener* listener = config_->listener_of_slot(r.relay.listener_slot);
    if (listener == nullptr) {
        if (held != store::no_chunk) r.shard.chunks.free(held);
        return abort(r, Closer::balancer, CloseReason::no_server);
    }
    await_request(r, *listener);
    const bool kept = keep_subject(r, *listener, answer.subject);
    size_t taken = fault(Fault::relay_tls_leftover_lost) ? 0 : consume(r, Side::client, answer.leftover);
    bool all = fault(Fault::relay_tls_leftover_lost) || taken == answer.leftover.size();
    if (held != store::no_chunk) {
        const std::span<const uint8_t> bytes = r.shard.chunks.payload(held);
        const size_t more = all ? consume(r, Side::client, bytes) : 0;
        all = all && more == bytes.size();
        taken += more;
        r.shard.chunks.free(held);
    }
    close_seat(r);
    if (!all || !kept) return abort(r, Closer::balancer, CloseReason::no_memory);
    tcp::Events events;
    events.consumed = static_cast<uint32_t>(taken);
    if (r.relay.client_hot.has(tcp::flag_fin_received)) events.bits = tcp::event_peer_fin;
    on_events(r, Side::client, events);
}

/// For the request that it will be told with. False when there is no memory, or it is too long.
bool Engine::keep_subject(Ref r, const config::Listener& listener, std::string_view subject) {
    if (subject.empty() || listener.record->client_subject_header.length == 0) return true;
    if (subject.size() > subject_bytes_max) return false;
    const std::span<const uint8_t> text(reinterpret_cast<const uint8_t*>(subject.data()), subject.size());
    return append(r, setup_of(r).subject, text) == text.size();
}

/// Whether a client that says no more may have said enough: its last words are with a crypto thread. Who waits for a
/// seat has said but a ClientHello, which no handshake can do with.
bool Engine::handshake_goes_on(Ref r) {
    const TlsEnd& end = tls_end(r);
    return end.seat != no_seat && seats_[end.seat].stepping;
}

void Engine::on_handshake_deadline(Ref r) {
    const bool no_seat_came = tls_end(r).waits_for_seat != 0;
    ++(no_seat_came ? stats_.worker.tls.handshakes_refused : stats_.worker.tls.handshakes_timed_out);
    abort(r, Closer::balancer, no_seat_came ? CloseReason::tls_refused : CloseReason::tls_timeout);
}

/// The shard leaves for another worker, whose seats are others: its handshakes end there, by their deadlines.
void Engine::give_up_handshakes(Shard& shard) {
    const auto end = [&](uint32_t index) {
        const Ref r = ref(shard, index);
        if (r.relay.phase == Phase::tls_handshake) setup_of(r).deadline = now_;
        mark_ready(r);
    };
    for (const Seat& seat : seats_) {
        if (seat.shard != &shard) continue;
        const Ref r = ref(shard, seat.index);
        end(seat.index);
        close_seat(r);
    }
    for (uint32_t left = waiting_.count; left > 0; --left) {
        const Waiting entry = waiting_.pop();
        if (entry.shard != &shard) {
            waiting_.push(entry);
        } else if (shard.relays.get(entry.handle) != nullptr) {
            shard.tls_ends[entry.handle.index].waits_for_seat = 0;
            end(entry.handle.index);
        } else {
            --waiting_.gone;
        }
    }
}

}  // namespace millrace::relay
