// Everything that the listeners and backends with TLS shake hands with, as control gives it to the dataplane: one text
// in JSON, private keys included. It goes from process to process in an anonymous file (key_socket.h), and stands on no
// disk.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tls/handshake/context.h"
#include "tls/handshake/servers.h"

namespace millrace::tls {

struct ListenerKeys {
    std::string listener;          ///< its name
    uint16_t slot = 0;             ///< its slot in the snapshot
    ContextSettings context = {};  ///< without ticket_keys
    /// Of a file: a multiple of ticket_key_bytes. Empty: random ones, which the dataplane makes and rotates.
    std::string ticket_keys = {};
};

struct ServerName {
    uint16_t slot = 0;      ///< in the snapshot
    std::string name = {};  ///< in its backend
    std::string host = {};  ///< that its address was found by; empty: it was given as an address
};

/// By what the servers of a backend are known.
struct BackendKeys {
    std::string backend;           ///< its name
    uint16_t slot = 0;             ///< its slot in the snapshot
    ContextSettings context = {};  ///< a client's
    bool verify = true;            ///< false: any certificate is good
    std::string ca_pem = {};       ///< who signs the servers' certificates
    std::string server_name = {};  ///< what they are for; empty: each server's host, or else its address
    bool resume = true;            ///< offer sessions
    std::vector<ServerName> servers = {};
};

struct KeyBundle {
    uint64_t generation = 0;  ///< of the configuration that it belongs to
    std::vector<ListenerKeys> listeners = {};
    std::vector<BackendKeys> backends = {};
};

std::string to_text(const KeyBundle& bundle);

/// False, with the reason, when the text is no bundle. What OpenSSL thinks of it is Context's to say.
bool parse_bundle(std::string_view text, KeyBundle& bundle, std::string& error);

/// What handshakes with the servers of a backend use. Null, with a reason that begins as Context's do or with "CA",
/// when OpenSSL takes something not.
std::unique_ptr<Servers> make_servers(const BackendKeys& keys, std::string& error);

}  // namespace millrace::tls
