// The WebSocket handshake (RFC 6455 §4), with one field of our own that tells the server's end which connection of the
// client's it is. A server that knows nothing of it (another's) leaves it out of its answer.

#include <algorithm>
#include <charconv>
#include <cstring>

#include "dataplane/http/head_scan.h"
#include "dataplane/http/request.h"
#include "dataplane/http/response.h"
#include "dataplane/http/text.h"
#include "dataplane/http/writer.h"
#include "dataplane/tcp/sender.h"
#include "load/engine.h"

namespace millrace::load {
namespace {

constexpr std::string_view id_field = "X-Millrace-Load";
constexpr std::string_view key = "bWlsbHJhY2UgbG9hZCBnZQ==";  // "millrace load ge": one for all, so its answer, too
constexpr size_t id_digits = 8;
constexpr uint32_t head_bytes_max = 4080;  // a chunk's payload

/// Eight hexadecimal digits, and a letter that says whether the connection is opened only to be closed.
void write_id(char* out, uint32_t id, bool transient) {
    for (size_t i = 0; i < id_digits; ++i) out[i] = "0123456789abcdef"[id >> 4 * (id_digits - 1 - i) & 15];
    out[id_digits] = transient ? 't' : 'k';
}

bool read_id(std::string_view text, uint32_t& id, bool& transient) {
    if (text.size() != id_digits + 1) return false;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + id_digits, id, 16);
    transient = text[id_digits] == 't';
    return failure == std::errc{} && end == text.data() + id_digits;
}

}  // namespace

void Engine::write_request_template(const Settings& settings) {
    request_ = "GET " + settings.path + " HTTP/1.1\r\nHost: " + settings.host +
               "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
               std::string(key) + "\r\n" + std::string(id_field) + ": ";
    request_id_at_ = request_.size();
    request_ += std::string(id_digits + 1, '0') + "\r\n\r\n";
    accept_ = http::accept_key(key);
}

void Engine::begin_upgrade(Ref ref) {
    Connection& connection = at(ref);
    connection.phase = Phase::upgrading;
    write_id(request_.data() + request_id_at_, connection.id, connection.has(flag_transient));
    send_bytes(ref, {reinterpret_cast<const uint8_t*>(request_.data()), request_.size()});
}

void Engine::send_answer(Ref ref) {
    Connection& connection = at(ref);
    std::array<uint8_t, 256> text;
    http::Writer writer(text);
    writer.put("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    writer.field("Sec-WebSocket-Accept", http::as_text(arrived_.accept));
    if (connection.id != no_id) {
        char id[id_digits + 1];
        write_id(id, connection.id, connection.has(flag_transient));
        writer.field(id_field, {id, sizeof id});
    }
    writer.put("\r\n");
    tcp::send(context(), connection.endpoint(), std::span(text).first(writer.length()));
}

/// Takes the bytes of the head; returns how many of `bytes` belong to it. A head that comes in pieces waits in a chunk.
size_t Engine::take_head(Connection& connection, Role role, std::span<const uint8_t> bytes) {
    std::span<const uint8_t> buffer = bytes;
    uint32_t before = 0;
    if (connection.partial != store::no_chunk) {
        store::ChunkHeader& header = tables_.chunks.header(connection.partial);
        const std::span<uint8_t> room = tables_.chunks.capacity(connection.partial);
        before = header.length;
        const size_t taken = std::min(bytes.size(), room.size() - before);
        std::memcpy(room.data() + before, bytes.data(), taken);
        header.length = static_cast<uint16_t>(before + taken);
        buffer = tables_.chunks.payload(connection.partial);
    }
    const http::HeadScan scan = http::scan_head(buffer, before, head_bytes_max);
    if (scan.outcome == http::ScanOutcome::incomplete && connection.partial == store::no_chunk) {
        connection.partial = tables_.chunks.allocate(head_bytes_max);
        if (connection.partial == store::no_chunk || bytes.size() > head_bytes_max) {
            arrived_.broken = true;
            return bytes.size();
        }
        std::memcpy(tables_.chunks.capacity(connection.partial).data(), bytes.data(), bytes.size());
        tables_.chunks.header(connection.partial).length = static_cast<uint16_t>(bytes.size());
    }
    if (scan.outcome == http::ScanOutcome::incomplete) return bytes.size();
    if (scan.outcome == http::ScanOutcome::complete)
        on_head(connection, role, buffer.first(scan.length));
    else
        arrived_.broken = true;
    if (connection.partial != store::no_chunk) tables_.chunks.free(connection.partial);
    connection.partial = store::no_chunk;
    return arrived_.broken || arrived_.plain ? bytes.size() : scan.length - before;
}

void Engine::on_head(Connection& connection, Role role, std::span<const uint8_t> head) {
    if (role == Role::server)
        on_request(connection, head);
    else
        on_response(connection, head);
    if (arrived_.broken || arrived_.plain) return;
    connection.phase = Phase::open;
    arrived_.upgraded = true;
}

void Engine::on_request(Connection& connection, std::span<const uint8_t> head) {
    http::RequestHead request;
    if (http::parse_request(head, request) != 0) {
        arrived_.broken = true;
        return;
    }
    if (request.kind != http::RequestKind::websocket) {
        arrived_.plain = true;
        return;
    }
    arrived_.accept = request.websocket_key == key ? accept_ : http::accept_key(request.websocket_key);
    // A balancer's health probe has no number, and is pushed nothing.
    bool transient = true;
    connection.id = no_id;
    if (const http::Field* field = request.fields.find(id_field)) read_id(field->value, connection.id, transient);
    if (transient) connection.set(flag_transient);
}

void Engine::on_response(Connection& connection, std::span<const uint8_t> head) {
    http::ResponseHead response;
    if (!http::parse_response(head, http::RequestKind::websocket, response) || !response.is_switching() ||
        !http::accepts_websocket(response, http::as_text(accept_))) {
        last_status_ = response.status;
        arrived_.broken = true;
        return;
    }
    uint32_t id = connection.id;
    bool transient;
    if (const http::Field* field = response.fields.find(id_field)) read_id(field->value, id, transient);
    // Another connection's answer.
    if (id != connection.id) arrived_.broken = true;
}

}  // namespace millrace::load
