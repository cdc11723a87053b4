// Just enough HTTP for simulated clients and servers, written apart from the balancer's parser so that the two can
// disagree.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::sim {

// The example of RFC 6455 §1.3, which gives key and answer.
inline constexpr std::string_view websocket_key = "dGhlIHNhbXBsZSBub25jZQ==";
inline constexpr std::string_view websocket_accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Bytes of the head with its empty line; 0 while it is not whole.
inline size_t head_length(std::string_view bytes) {
    const size_t end = bytes.find("\r\n\r\n");
    return end == std::string_view::npos ? 0 : end + 4;
}

/// The value of a field, names in any case; empty when there is none.
inline std::string field(std::string_view head, std::string_view name) {
    const auto lower = [](std::string_view text) {
        std::string out(text);
        std::ranges::transform(out, out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
        return out;
    };
    const size_t at = lower(head).find("\r\n" + lower(name) + ": ");
    if (at == std::string::npos) return "";
    const size_t value = at + name.size() + 4;
    return std::string(head.substr(value, head.find("\r\n", value) - value));
}

inline int status_of(std::string_view head) {
    return head.starts_with("HTTP/1.1 ") && head.size() >= 12 ? std::stoi(std::string(head.substr(9, 3))) : 0;
}

inline std::string upgrade_request(std::string_view path) {
    return "GET " + std::string(path) +
           " HTTP/1.1\r\nHost: sim.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: " +
           std::string(websocket_key) + "\r\n\r\n";
}

inline std::string upgrade_answer(std::string_view accept = websocket_accept) {
    return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
           std::string(accept) + "\r\n\r\n";
}

/// A chunked body of `content`, in chunks of at most `chunk` bytes, with a trailer field.
inline std::string chunked(std::string_view content, size_t chunk) {
    std::string out;
    for (size_t at = 0; at < content.size(); at += chunk) {
        const std::string_view part = content.substr(at, chunk);
        char size[20];
        std::snprintf(size, sizeof size, "%zx\r\n", part.size());
        out += size;
        out += part;
        out += "\r\n";
    }
    return out + "0\r\nX-Sum: 1\r\n\r\n";
}

}  // namespace millrace::sim
