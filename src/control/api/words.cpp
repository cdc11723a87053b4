#include "control/api/words.h"

#include <array>

namespace millrace::control::api {

namespace {

/// The word at the value's place; "unknown" beyond them, since some values come out of the dataplane's memory.
template <typename Enum, size_t count>
const char* pick(Enum value, const std::array<const char*, count>& words) {
    const auto index = static_cast<size_t>(value);
    return index < count ? words[index] : "unknown";
}

}  // namespace

const char* word(AdminState value) {
    return pick(value, std::array{"enabled", "drain", "disabled"});
}
const char* word(tls::Version value) {
    return value == tls::Version::tls12 ? "1.2" : "1.3";
}
const char* word(tls::ClientCertificates value) {
    return pick(value, std::array{"off", "optional", "required"});
}
const char* word(ProbeState value) {
    return pick(value, std::array{"unknown", "up", "down"});
}
const char* word(RelayState value) {
    return pick(value, std::array{"reading_head", "connecting", "upgrading", "relaying", "closing", "tls_handshake"});
}
const char* word(NeighbourState value) {
    return pick(value, std::array{"incomplete", "reachable", "stale"});
}
const char* word(PingEnd value) {
    return pick(value, std::array{"answered", "timed_out", "no_route", "no_neighbour", "too_long", "busy"});
}
const char* word(TcpState value) {
    return pick(value, std::array{"closed", "syn_sent", "syn_received", "established", "fin_wait_1", "fin_wait_2",
                                  "close_wait", "closing", "last_ack", "time_wait"});
}
const char* word(TcpTimer value) {
    return pick(value, std::array{"none", "syn", "retransmission", "persist", "delayed_ack", "keepalive"});
}
const char* word(ListenerMode value) {
    return pick(value, std::array{"http", "tcp"});
}
const char* word(SynCookies value) {
    return pick(value, std::array{"off", "on", "always"});
}
const char* word(CongestionControl value) {
    return pick(value, std::array{"cubic", "newreno"});
}
const char* word(Algorithm value) {
    return pick(value, std::array{"round_robin", "least_conn", "maglev", "ip_hash"});
}
const char* word(WhenAllDown value) {
    return pick(value, std::array{"refuse", "try_all"});
}
const char* word(Driver value) {
    return pick(value, std::array{"af_xdp", "af_packet", "memif", "pci"});
}
const char* word(ForwardedPolicy value) {
    return pick(value, std::array{"off", "add", "replace"});
}
const char* word(RequestIdPolicy value) {
    return pick(value, std::array{"off", "if_absent", "always"});
}
const char* word(HealthType value) {
    return pick(value, std::array{"tcp", "http", "websocket"});
}
const char* word(Role value) {
    return pick(value, std::array{"viewer", "operator", "admin"});
}
const char* word(LogLevel value) {
    return pick(value, std::array{"error", "warning", "info", "debug"});
}

}  // namespace millrace::control::api
