// Relaying: in-order bytes of one side go straight into the other side's send queue, before they are acknowledged. The
// window toward one side is what the other side's queue can still take, so a slow reader stops a fast writer.

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/relay/engine.h"
#include "dataplane/tcp/sender.h"

namespace millrace::relay {

/// Returns how many bytes were stored (or, behind the end of an HTTP body, discarded).
size_t Engine::pump(Ref r, Side from, std::span<const uint8_t> bytes) {
    if (r.relay.setup != store::no_chunk) return pump_exchange(r, from, bytes);
    const Side to = other(from);
    const size_t taken = enqueue(r, to, bytes);
    bytes = bytes.first(taken);
    if (r.relay.has(flag_websocket)) (from == Side::client ? r.relay.cursor_up : r.relay.cursor_down).advance(bytes);
    count_bytes(r, from, taken);
    return taken;
}

void Engine::count_bytes(Ref r, Side from, size_t bytes) {
    ServerStats& server = server_stats(r.relay.server_slot);
    if (from == Side::client) {
        r.relay.bytes_up += bytes;
        server.bytes_to_server += bytes;
    } else {
        r.relay.bytes_down += bytes;
        server.bytes_from_server += bytes;
    }
}

/// While there is a setup: early bytes of an upgrade or of a tcp relay, or the bodies of an ordinary exchange, which
/// end where their framing says.
size_t Engine::pump_exchange(Ref r, Side from, std::span<const uint8_t> bytes) {
    Setup& setup = setup_of(r);
    const Side to = other(from);
    if (r.relay.has(flag_websocket) || setup.request_head_length == 0) {
        const size_t taken = enqueue(r, to, bytes);
        if (r.relay.has(flag_websocket))
            (from == Side::client ? r.relay.cursor_up : r.relay.cursor_down).advance(bytes.first(taken));
        count_bytes(r, from, taken);
        return taken;
    }
    http::BodyCursor& body = from == Side::client ? setup.request_body : setup.response_body;
    http::BodyCursor ahead = body;
    http::BodyCursor::Step step = ahead.advance(bytes);
    if (fault(Fault::relay_passes_second_request)) step.bytes = bytes.size();
    const size_t taken = enqueue(r, to, bytes.first(step.bytes));
    count_bytes(r, from, taken);
    if (taken < step.bytes) {
        body.advance(bytes.first(taken));
        return taken;
    }
    body = ahead;
    if (step.error) setup.body_error = from == Side::client ? 1 : 2;
    // What follows the body belongs to no request that we know: it goes nowhere.
    return bytes.size();
}

/// The framing of an ordinary exchange: a body that makes no sense, or the end of the answer.
void Engine::check_bodies(Ref r) {
    const bool awaiting = r.relay.phase == Phase::awaiting_response;
    if (!awaiting && r.relay.phase != Phase::relaying) return;
    const Setup& setup = setup_of(r);
    if (setup.body_error == 1 && awaiting) return answer_error(r, 400, CloseReason::bad_request);
    if (setup.body_error == 1) return abort(r, Closer::balancer, CloseReason::bad_request);
    if (setup.body_error == 2) return abort(r, Closer::balancer, CloseReason::bad_response);
    if (!awaiting && setup.response_body.done()) end_exchange(r);
}

uint32_t Engine::receive_space(Ref r, Side side) {
    switch (r.relay.phase) {
        case Phase::relaying:
            break;
        case Phase::answering:
            return tcp_options_.receive_window_bytes;
        case Phase::stream:
            if (shakes_hands(r, side)) return handshake_room(r, side);
            return std::min(control_.reply_room(), tcp_options_.receive_window_bytes);
        case Phase::none:
            return 0;
        case Phase::tls_handshake:
            return handshake_room(r, side);
        case Phase::reading_head:
        case Phase::connecting:
        case Phase::awaiting_response: {
            const Setup& setup = setup_of(r);
            if (side == Side::client && r.relay.phase == Phase::awaiting_response &&
                setup.kind != http::RequestKind::websocket)
                break;
            const store::ChunkId buffer = side == Side::client ? setup.request : setup.response;
            return store::chunk_payload_max - (buffer == store::no_chunk ? 0 : r.shard.chunks.header(buffer).length);
        }
    }
    return relay_space(r, side);
}

}  // namespace millrace::relay
