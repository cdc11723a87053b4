// The client's request: its head is collected in one chunk until it is whole, then routed; it is parsed once more when
// the server is connected, because no view of it is kept.

#include <algorithm>
#include <cstring>

#include "dataplane/base/siphash.h"
#include "dataplane/http/accept_key.h"
#include "dataplane/http/head_scan.h"
#include "dataplane/http/rewrite.h"
#include "dataplane/http/route.h"
#include "dataplane/relay/engine.h"
#include "dataplane/tcp/sender.h"

namespace millrace::relay {
namespace {

// Smallest buffer for a head: a browser's upgrade request is 400 to 700 bytes.
constexpr uint32_t head_chunk_payload = 1024 - sizeof(store::ChunkHeader);

http::FieldPolicy field_policy(ForwardedPolicy policy) {
    switch (policy) {
        case ForwardedPolicy::off:
            return http::FieldPolicy::pass;
        case ForwardedPolicy::add:
            return http::FieldPolicy::add;
        case ForwardedPolicy::replace:
            return http::FieldPolicy::replace;
    }
    return http::FieldPolicy::pass;
}

http::FieldPolicy field_policy(RequestIdPolicy policy) {
    switch (policy) {
        case RequestIdPolicy::off:
            return http::FieldPolicy::pass;
        case RequestIdPolicy::if_absent:
            return http::FieldPolicy::add;
        case RequestIdPolicy::always:
            return http::FieldPolicy::replace;
    }
    return http::FieldPolicy::pass;
}

// Sixteen hexadecimal digits.
std::array<char, 16> request_id(uint64_t connection_id) {
    std::array<char, 16> text;
    for (size_t i = 0; i < text.size(); ++i) text[i] = "0123456789abcdef"[connection_id >> (60 - 4 * i) & 15];
    return text;
}

}  // namespace

/// Adds bytes to a contiguous buffer, which moves to a larger chunk as it grows. Returns how many were stored.
size_t Engine::append(Ref r, store::ChunkId& buffer, std::span<const uint8_t> bytes) {
    store::ChunkStore& chunks = r.shard.chunks;
    const uint32_t held = buffer == store::no_chunk ? 0 : chunks.header(buffer).length;
    bytes = bytes.first(std::min<size_t>(bytes.size(), store::chunk_payload_max - held));
    const auto wanted = static_cast<uint32_t>(held + bytes.size());
    if (buffer == store::no_chunk || chunks.capacity(buffer).size() < wanted) {
        const store::ChunkId larger = chunks.allocate(std::max(wanted, head_chunk_payload));
        if (larger == store::no_chunk) {
            ++stats_.worker.chunks_exhausted;
            return 0;
        }
        if (buffer != store::no_chunk) {
            std::memcpy(chunks.capacity(larger).data(), chunks.payload(buffer).data(), held);
            chunks.free(buffer);
        }
        buffer = larger;
    }
    std::memcpy(chunks.capacity(buffer).data() + held, bytes.data(), bytes.size());
    chunks.header(buffer).length = static_cast<uint16_t>(wanted);
    return bytes.size();
}

void Engine::read_request(Ref r) {
    Setup& setup = setup_of(r);
    if (setup.request == store::no_chunk) return;
    const config::Listener* listener = config_->listener_of_slot(r.relay.listener_slot);
    if (listener == nullptr) return answer_error(r, 503, CloseReason::no_server);
    const std::span<const uint8_t> bytes = r.shard.chunks.payload(setup.request);
    const http::HeadScan scan = http::scan_head(bytes, setup.request_scanned, listener->record->head_bytes_max);
    setup.request_scanned = scan.scanned;
    if (scan.outcome == http::ScanOutcome::incomplete) return;
    if (scan.outcome == http::ScanOutcome::error) return answer_error(r, scan.status, CloseReason::bad_request);

    http::RequestHead request;
    if (const uint16_t status = http::parse_request(bytes.first(scan.length), request); status != 0)
        return answer_error(r, status, CloseReason::bad_request);
    setup.kind = request.kind;
    if (request.fields.size() > listener->record->headers_max) return answer_error(r, 431, CloseReason::bad_request);
    ++listener_stats(r.relay).requests;
    setup.request_head_length = scan.length;
    setup.request_body = http::BodyCursor(request.body);
    setup.http_1_0 = request.minor_version == 0;
    route_request(r, *listener, request);
}

void Engine::route_request(Ref r, const config::Listener& listener, const http::RequestHead& request) {
    for (const config::HttpRoute& route : listener.routes) {
        if (!http::route_matches(request.host, request.path, route.host, route.path_prefix)) continue;
        const config::Backend& backend = config_->backends()[route.backend];
        Setup& setup = setup_of(r);
        if (request.kind == http::RequestKind::websocket) setup.accept = http::accept_key(request.websocket_key);
        if (!backend.hash_header.empty())
            if (const http::Field* field = request.fields.find(backend.hash_header))
                setup.balance_hash = siphash13(
                    balance_key, {reinterpret_cast<const uint8_t*>(field->value.data()), field->value.size()});
        return connect_first(r, backend);
    }
    answer_error(r, 404, CloseReason::error_response);
}

/// Of the client's certificate; empty without one.
std::string_view Engine::subject_of(Ref r) {
    const store::ChunkId chunk = setup_of(r).subject;
    if (chunk == store::no_chunk) return {};
    const std::span<const uint8_t> text = r.shard.chunks.payload(chunk);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
}

/// The server is connected: the rewritten head goes into its send queue, whole.
void Engine::send_request(Ref r) {
    Setup& setup = setup_of(r);
    const config::Listener* listener = config_->listener_of_slot(r.relay.listener_slot);
    if (listener == nullptr) return answer_error(r, 503, CloseReason::no_server);
    http::RequestHead request;
    const std::span<const uint8_t> head = r.shard.chunks.payload(setup.request).first(setup.request_head_length);
    if (http::parse_request(head, request) != 0) return answer_error(r, 400, CloseReason::bad_request);

    std::array<char, 48> address;
    const auto id = request_id(r.relay.connection_id);
    const ListenerRecord& record = *listener->record;
    const http::ForwardPolicy policy{.x_forwarded_for = field_policy(record.forwarded_for),
                                     .x_forwarded_proto = field_policy(record.forwarded_proto),
                                     .x_forwarded_host = field_policy(record.forwarded_host),
                                     .x_request_id = field_policy(record.request_id)};
    const http::ForwardValues values{.client_address = write_address(r.relay.client_hot.peer, address),
                                     .proto = r.relay.has_tls(Side::client) ? "https" : "http",
                                     .request_id = {id.data(), id.size()},
                                     .subject_name = config_->snapshot().text(record.client_subject_header),
                                     .subject = subject_of(r)};
    const size_t length = http::write_request(request, policy, values, scratch_);
    MILLRACE_ASSERT(length != 0);
    if (send_to(r, Side::server, std::span(scratch_).first(length)) != length) {
        ++stats_.worker.chunks_exhausted;
        return answer_error(r, 503, CloseReason::no_memory);
    }
    if (setup.kind == http::RequestKind::websocket) return;
    send_early_bytes(r);
    check_bodies(r);
}

/// Bytes that came after the head: they go on now, and their buffer is given back.
void Engine::send_early_bytes(Ref r) {
    Setup& setup = setup_of(r);
    if (setup.request == store::no_chunk) return;
    const std::span<const uint8_t> early = r.shard.chunks.payload(setup.request).subspan(setup.request_head_length);
    // At most one head buffer's worth: it fits into the send queue's limit, so a short count means exhausted chunks.
    if (!early.empty() && pump(r, Side::client, early) != early.size())
        return abort(r, Closer::balancer, CloseReason::no_memory);
    r.shard.chunks.free(setup.request);
    setup.request = store::no_chunk;
}

/// The client says no more, but it may still read: an ordinary request that is whole gets its answer, and in tcp mode
/// the FIN is passed on with the rest.
void Engine::on_client_fin_before_answer(Ref r) {
    const Setup& setup = setup_of(r);
    if (setup.kind == http::RequestKind::websocket) {
        r.relay.set_end(Closer::client, CloseReason::fin);
        return close_client(r);
    }
    if (setup.request_head_length == 0) return;
    http::BodyCursor body = setup.request_body;
    if (setup.request != store::no_chunk)
        body.advance(r.shard.chunks.payload(setup.request).subspan(setup.request_head_length));
    if (!body.done()) answer_error(r, 400, CloseReason::bad_request);
}

}  // namespace millrace::relay
