#include "control/health/probe.h"

#include <array>
#include <openssl/evp.h>

#include "dataplane/base/fault.h"
#include "dataplane/http/accept_key.h"
#include "dataplane/http/head_scan.h"
#include "dataplane/http/response.h"
#include "dataplane/ws/frame.h"

namespace millrace::control {

namespace {

constexpr uint32_t head_bytes_max = 16384;
constexpr uint8_t ping_bytes = 8;
constexpr size_t control_frame_bytes_max = 2 + ws::control_payload_bytes_max;

std::vector<std::byte> to_bytes(const std::string& text) {
    const auto* data = reinterpret_cast<const std::byte*>(text.data());
    return {data, data + text.size()};
}

/// splitmix64: spreads the seed. Key and mask need no secrecy here (no proxy or browser stands in between).
uint64_t spread(uint64_t value) {
    value += 0x9e3779b97f4a7c15;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

std::array<uint8_t, ping_bytes> ping_payload(uint64_t seed) {
    std::array<uint8_t, ping_bytes> payload;
    const uint64_t value = spread(seed + 3);
    for (size_t i = 0; i < payload.size(); ++i) payload[i] = static_cast<uint8_t>(value >> 8 * i);
    return payload;
}

}  // namespace

const char* describe(StreamEnd end) {
    switch (end) {
        case StreamEnd::by_control:
            return "closed by us";
        case StreamEnd::by_server:
            return "the server closed the connection";
        case StreamEnd::reset:
            return "the server reset the connection";
        case StreamEnd::refused:
            return "connection refused";
        case StreamEnd::timed_out:
            return "timed out";
        case StreamEnd::unreachable:
            return "unreachable: no route or no neighbour";
        case StreamEnd::no_memory:
            return "the dataplane had no room, no source port or no keys for the probe";
        case StreamEnd::tls_handshake:
            return "the TLS handshake failed";
    }
    return "closed for an unknown reason";
}

void Probe::end(Verdict verdict, std::string reason) {
    if (verdict_ != Verdict::pending) return;
    verdict_ = verdict;
    reason_ = std::move(reason);
}

std::string Probe::websocket_key() const {
    std::array<uint8_t, 16> nonce;
    for (size_t i = 0; i < nonce.size(); ++i) nonce[i] = static_cast<uint8_t>(spread(seed_ + i / 8) >> i % 8 * 8);
    std::array<unsigned char, 25> text;
    EVP_EncodeBlock(text.data(), nonce.data(), nonce.size());
    return {reinterpret_cast<const char*>(text.data()), 24};
}

std::vector<std::byte> Probe::opened() {
    if (verdict_ != Verdict::pending) return {};
    if (check_.type == HealthType::tcp) {
        end(Verdict::pass, "connected");
        return {};
    }
    std::string request =
        "GET " + check_.path + " HTTP/1.1\r\nHost: " + check_.host + "\r\nUser-Agent: millrace-probe\r\n";
    if (check_.type == HealthType::websocket)
        request += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
                   websocket_key() + "\r\n\r\n";
    else
        request += "Connection: close\r\n\r\n";
    return to_bytes(request);
}

std::vector<std::byte> Probe::received(std::span<const std::byte> bytes) {
    std::span<const uint8_t> rest{reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
    std::vector<std::byte> out;
    while (verdict_ == Verdict::pending && !head_done_ && !rest.empty()) {
        const size_t before = head_.size();
        head_.insert(head_.end(), rest.begin(), rest.end());
        const http::HeadScan scan = http::scan_head(head_, scanned_, head_bytes_max);
        if (scan.outcome == http::ScanOutcome::error) {
            end(Verdict::fail, "the answer is no HTTP/1 response");
            return {};
        }
        if (scan.outcome == http::ScanOutcome::incomplete) {
            scanned_ = scan.scanned;
            return {};
        }
        rest = rest.subspan(scan.length - before);
        out = judge_head({head_.data(), scan.length});
        head_.clear();
        scanned_ = 0;
    }
    if (verdict_ == Verdict::pending && head_done_) take_frames(rest);
    return out;
}

std::vector<std::byte> Probe::judge_head(std::span<const uint8_t> head) {
    const bool websocket = check_.type == HealthType::websocket;
    http::ResponseHead response;
    if (!http::parse_response(head, websocket ? http::RequestKind::websocket : http::RequestKind::ordinary, response)) {
        end(Verdict::fail, "malformed HTTP response");
        return {};
    }
    if (response.is_interim()) return {};
    const std::string status = "status " + std::to_string(response.status);
    if (!websocket) {
        const bool good = response.status >= check_.status_low && response.status <= check_.status_high;
        end(good ? Verdict::pass : Verdict::fail, status);
        return {};
    }
    if (!response.is_switching()) {
        end(Verdict::fail, "no upgrade: " + status);
        return {};
    }
    const http::AcceptKey accept = http::accept_key(websocket_key());
    if (!fault(Fault::control_probe_accept_unchecked) && !http::accepts_websocket(response, http::as_text(accept))) {
        end(Verdict::fail, "wrong upgrade headers or Sec-WebSocket-Accept");
        return {};
    }
    head_done_ = true;
    return ping();
}

std::vector<std::byte> Probe::ping() const {
    const uint64_t random = spread(seed_ + 2);
    ws::MaskingKey mask;
    for (size_t i = 0; i < sizeof mask.bytes; ++i) mask.bytes[i] = static_cast<uint8_t>(random >> 8 * i);
    std::array<uint8_t, ws::frame_header_bytes_max> header;
    const size_t header_bytes = ws::write_frame_header(ws::Opcode::ping, true, ping_bytes, &mask, header);
    auto payload = ping_payload(seed_);
    ws::apply_mask(mask, 0, payload);
    std::vector<std::byte> out;
    for (size_t i = 0; i < header_bytes; ++i) out.push_back(static_cast<std::byte>(header[i]));
    for (const uint8_t byte : payload) out.push_back(static_cast<std::byte>(byte));
    return out;
}

void Probe::take_frames(std::span<const uint8_t> bytes) {
    const auto payload = ping_payload(seed_);
    std::vector<uint8_t> pong{0x8a, ping_bytes};
    pong.insert(pong.end(), payload.begin(), payload.end());
    for (const uint8_t byte : bytes) {
        cursor_.advance({&byte, 1});
        if (frame_.size() < control_frame_bytes_max) frame_.push_back(byte);
        if (cursor_.lost()) return end(Verdict::fail, "sent an impossible WebSocket frame");
        if (cursor_.close_seen()) return end(Verdict::fail, "sent a WebSocket close");
        if (!cursor_.at_boundary()) continue;
        if (frame_ == pong) return end(Verdict::pass, "pong");
        frame_.clear();
    }
}

void Probe::closed(StreamEnd stream_end) {
    const bool ours = stream_end == StreamEnd::no_memory || stream_end == StreamEnd::by_control;
    end(ours ? Verdict::inconclusive : Verdict::fail, describe(stream_end));
}

}  // namespace millrace::control
