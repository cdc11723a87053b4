// Sec-WebSocket-Accept (RFC 6455 §4.2.2): base64 of SHA-1 of the client's key and a fixed GUID. Computed once per
// upgrade on the worker to check the backend's answer; no allocation. Not cryptography: it only proves that the peer
// speaks WebSocket.
#pragma once

#include <array>
#include <string_view>

namespace millrace::http {

using AcceptKey = std::array<char, 28>;

/// `key`: the Sec-WebSocket-Key as sent. Any length is hashed; a valid one has 24 characters.
AcceptKey accept_key(std::string_view key);

inline std::string_view as_text(const AcceptKey& key) {
    return {key.data(), key.size()};
}

}  // namespace millrace::http
