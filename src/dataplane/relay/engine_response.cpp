// The server's answer: checked, rewritten, passed on; and the answers that the balancer gives itself.

#include <algorithm>
#include <cstring>

#include "dataplane/base/fault.h"
#include "dataplane/http/error_response.h"
#include "dataplane/http/head_scan.h"
#include "dataplane/http/rewrite.h"
#include "dataplane/relay/engine.h"
#include "dataplane/tcp/close.h"
#include "dataplane/tcp/sender.h"

namespace millrace::relay {
namespace {

// A server may announce itself with 100 and 103 a few times, not without end.
constexpr uint8_t interim_responses_max = 8;

}  // namespace

void Engine::read_response(Ref r) {
    // An interim answer (100, 103) is passed on, and the next head follows in the same buffer.
    while (r.relay.phase == Phase::awaiting_response && setup_of(r).response != store::no_chunk) {
        Setup& setup = setup_of(r);
        const std::span<const uint8_t> bytes = r.shard.chunks.payload(setup.response);
        const http::HeadScan scan = http::scan_head(bytes, setup.response_scanned);
        setup.response_scanned = scan.scanned;
        if (scan.outcome == http::ScanOutcome::incomplete) return;
        if (scan.outcome == http::ScanOutcome::error) return bad_response(r, CloseReason::bad_response);
        http::ResponseHead response;
        if (!http::parse_response(bytes.first(scan.length), setup.kind, response))
            return bad_response(r, CloseReason::bad_response);
        if (response.is_switching() && !http::accepts_websocket(response, http::as_text(setup.accept)))
            return bad_response(r, CloseReason::bad_response);
        if (response.is_interim() && ++setup.interim_responses > interim_responses_max)
            return bad_response(r, CloseReason::bad_response);
        if (response.is_interim())
            pass_interim_response(r, response, scan.length);
        else
            pass_response(r, response, scan.length);
    }
}

/// Sends the head on to the client; false when there is no memory for it and the relay has ended.
bool Engine::send_response_head(Ref r, const http::ResponseHead& response) {
    const size_t length = http::write_response(response, scratch_);
    MILLRACE_ASSERT(length != 0);
    if (send_to(r, Side::client, std::span(scratch_).first(length)) == length) return true;
    ++stats_.worker.chunks_exhausted;
    abort(r, Closer::balancer, CloseReason::no_memory);
    return false;
}

/// What follows the interim head moves to the front of the buffer.
void Engine::pass_interim_response(Ref r, const http::ResponseHead& response, uint32_t head_length) {
    Setup& setup = setup_of(r);
    // RFC 9110 §15.2: HTTP/1.0 knows no such thing.
    if (setup.http_1_0 == 0 && !send_response_head(r, response)) return;
    const std::span<uint8_t> buffer = r.shard.chunks.capacity(setup.response);
    store::ChunkHeader& header = r.shard.chunks.header(setup.response);
    header.length = static_cast<uint16_t>(header.length - head_length);
    std::memmove(buffer.data(), buffer.data() + head_length, header.length);
    setup.response_scanned = 0;
}

void Engine::pass_response(Ref r, const http::ResponseHead& response, uint32_t head_length) {
    if (!send_response_head(r, response)) return;
    Setup& setup = setup_of(r);
    const uint16_t slot = r.relay.server_slot;
    server_stats(slot).upgrade_time.add(now_ - setup.started);
    setup.http_status = response.status;
    if (response.status >= 500 && setup.kind == http::RequestKind::websocket) ++server_stats(slot).upgrade_failures;
    count_success(slot);
    setup.response_head_length = head_length;
    if (response.is_switching()) {
        const bool extensions = response.fields.find(http::FieldId::sec_websocket_extensions) != nullptr;
        r.relay.set(flag_websocket);
        r.relay.cursor_up = ws::FrameCursor(extensions);
        r.relay.cursor_down = ws::FrameCursor(extensions);
        ++listener_stats(r.relay).upgrades;
    } else {
        setup.response_body = http::BodyCursor(response.body);
    }
    start_relaying(r);
}

/// Both ways are open. Bytes that either side sent ahead go on now; after an upgrade (or in tcp mode) nothing of the
/// setup is needed any more.
void Engine::start_relaying(Ref r) {
    set_phase(r, Phase::relaying, store::TimerWheel::never);
    write_event(r, RelayEventKind::opened);
    Setup& setup = setup_of(r);
    const bool exchange = setup.http_status != 0 && !r.relay.has(flag_websocket);
    if (setup.response != store::no_chunk) {
        const auto early = r.shard.chunks.payload(setup.response).subspan(setup.response_head_length);
        if (!early.empty() && !fault(Fault::relay_drops_early_bytes) && pump(r, Side::server, early) != early.size())
            return abort(r, Closer::balancer, CloseReason::no_memory);
        r.shard.chunks.free(setup.response);
        setup.response = store::no_chunk;
    }
    if (exchange) {
        if (setup.response_body.done()) end_exchange(r);
        return;
    }
    send_early_bytes(r);
    if (r.relay.phase != Phase::relaying) return;
    free_setup(r);
    if (client_has_finished(r)) on_peer_fin(r, Side::client);
}

/// An ordinary exchange is over once its answer is, or has been cut short: one request per connection.
void Engine::end_exchange(Ref r) {
    const bool whole = setup_of(r).response_body.complete_at_close();
    r.relay.set_end(Closer::server, whole ? CloseReason::fin : CloseReason::bad_response);
    for (const Side side : {Side::client, Side::server}) finish_side(r, side);
    set_phase(r, Phase::answering, now_ + linger_us);
    mark_ready(r);
}

/// The server failed between its connection and a whole, valid head.
void Engine::bad_response(Ref r, CloseReason reason) {
    count_bad_upgrade(r);
    answer_error(r, reason == CloseReason::upgrade_timeout ? 504 : 502, reason);
}

/// Sends an error of our own, before any final answer, and closes; in tcp mode, where that is not possible, resets.
void Engine::answer_error(Ref r, uint16_t status, CloseReason reason) {
    const config::Listener* listener = config_->listener_of_slot(r.relay.listener_slot);
    Setup& setup = setup_of(r);
    if (listener == nullptr || listener->record->mode == ListenerMode::tcp) return abort(r, Closer::balancer, reason);
    r.relay.set_end(Closer::balancer, reason);
    setup.http_status = status == http::status_websocket_version ? 400 : status;
    for (size_t i = 0; i < std::size(response_statuses); ++i)
        if (response_statuses[i] == setup.http_status) ++listener_stats(r.relay).responses[i];
    std::array<uint8_t, http::error_response_bytes_max> bytes;
    const size_t length = http::write_error(
        status,
        {.retry_after_s = listener->record->retry_after_s, .request_was_head = setup.kind == http::RequestKind::head},
        bytes);
    send_to(r, Side::client, std::span(bytes).first(length));
    close_client(r);
}

/// Finishes toward the client and waits, for a while, until it has closed too; the server's side ends at once.
void Engine::close_client(Ref r) {
    abort_side(r, Side::server);
    finish_side(r, Side::client);
    set_phase(r, Phase::answering, now_ + linger_us);
    mark_ready(r);
}

}  // namespace millrace::relay
