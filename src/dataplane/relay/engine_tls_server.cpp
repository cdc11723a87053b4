// Our own handshake with a server that speaks TLS: part of connecting to it, so a failure leads to the next server as
// long as there are retries. It begins when the connection is there, with a step that has no input. The Setup's
// `response` holds what waits for the next step; the backend's handshake timeout bounds the whole.
//
// A ticket of TLS 1.3 comes behind the handshake. Where one is wanted, the seat stays for a moment, and is shown the
// records that the server sends (harvest).

#include "dataplane/base/fault.h"
#include "dataplane/relay/engine.h"

namespace millrace::relay {

void Engine::begin_server_handshake(Ref r) {
    set_server_handshake_deadline(r);
    const Seeker seeker = seeker_of(r, Side::server);
    if (waiting(seeker).count > 0 || !take_seat(r, seeker)) return wait_for_seat(r, seeker);
    step_handshake(r, Side::server);
}

/// Counts from the connection on while it waits for a seat, and anew once it has one. A stream has its own.
void Engine::set_server_handshake_deadline(Ref r) {
    if (r.relay.phase == Phase::stream) return;
    setup_of(r).deadline = now_ + config_->server_by_slot(r.relay.server_slot).handshake_timeout_ms * us_per_ms;
}

/// From here on the records are ours.
void Engine::end_server_handshake(Ref r, const Handshakes::Answer& answer) {
    TlsStats& stats = stats_.worker.tls;
    ++(answer.slot.version == tls::Version::tls13 ? stats.server_handshakes_tls13 : stats.server_handshakes_tls12);
    if (answer.resumed) ++stats.server_handshakes_resumed;
    tls_end(r, Side::server).slot = answer.slot;
    const store::ChunkId held = std::exchange(setup_of(r).response, store::no_chunk);
    on_server_ready(r);
    take_leftover(r, Side::server, answer, held);
}

/// `blamed`: it was the server's fault.
void Engine::fail_server_handshake(Ref r, CloseReason reason, bool blamed) {
    TlsStats& stats = stats_.worker.tls;
    ++(!blamed                              ? stats.handshakes_refused
       : reason == CloseReason::tls_timeout ? stats.server_handshakes_timed_out
                                            : stats.server_handshakes_failed);
    if (r.relay.phase == Phase::stream)
        return close_stream(r, !blamed                              ? StreamEnd::no_memory
                               : reason == CloseReason::tls_timeout ? StreamEnd::timed_out
                                                                    : StreamEnd::tls_handshake);
    if (blamed)
        on_connect_failed(r, reason);
    else
        connect_next(r, reason);
}

void Engine::on_fin_in_server_handshake(Ref r) {
    if (!handshake_goes_on(r, Side::server)) fail_server_handshake(r, CloseReason::tls_handshake, true);
}

/// In TLS 1.3 a server judges our certificate when our side is done already: its alert comes instead of an answer.
void Engine::count_late_refusal(Ref r) {
    if (r.relay.phase != Phase::awaiting_response || setup_of(r).response != store::no_chunk) return;
    ++stats_.worker.tls.server_handshakes_failed;
    // Of a WebSocket bad_response() counts it.
    if (setup_of(r).kind != http::RequestKind::websocket) count_failure(r.relay.server_slot, backend_of(setup_of(r)));
}

/// Who waited for a seat or for a crypto thread, or lost its seat because its shard has moved, had a server that did
/// nothing wrong.
void Engine::on_server_handshake_deadline(Ref r) {
    const TlsEnd& end = tls_end(r, Side::server);
    const bool seated = end.seat != no_seat || fault(Fault::relay_tls_move_blames_server);
    const bool blamed = end.waits_for_seat == 0 && seated && !handshake_goes_on(r, Side::server);
    fail_server_handshake(r, blamed ? CloseReason::tls_timeout : CloseReason::tls_refused, blamed);
}

/// Shows the handshake what its server says behind it. What can't be shown ends the wait for a ticket.
void Engine::harvest(Ref r, std::span<const uint8_t> bytes) {
    Seat& seat = seats_[tls_end(r, Side::server).seat];
    const uint16_t number = tls_end(r, Side::server).seat;
    if (bytes.empty() || fault(Fault::relay_tls_ticket_unseen)) return;
    if (seat.stepping || handshakes_->put(number, bytes) != bytes.size()) return close_seat(r, Side::server);
    seat.stepping = true;
    handshakes_->submit(number);
}

}  // namespace millrace::relay
