// Everything that the listeners with TLS shake hands with, as control gives it to the dataplane: one text in JSON,
// private keys included. It goes from process to process in an anonymous file (key_socket.h), and stands on no disk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tls/handshake/context.h"

namespace millrace::tls {

struct ListenerKeys {
    std::string listener;          ///< its name
    uint16_t slot = 0;             ///< its slot in the snapshot
    ContextSettings context = {};  ///< without ticket_keys
    /// Of a file: a multiple of ticket_key_bytes. Empty: random ones, which the dataplane makes and rotates.
    std::string ticket_keys = {};
};

struct KeyBundle {
    uint64_t generation = 0;  ///< of the configuration that it belongs to
    std::vector<ListenerKeys> listeners = {};
};

std::string to_text(const KeyBundle& bundle);

/// False, with the reason, when the text is no bundle. What OpenSSL thinks of it is Context::server's to say.
bool parse_bundle(std::string_view text, KeyBundle& bundle, std::string& error);

}  // namespace millrace::tls
