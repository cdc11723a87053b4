// What the two SYNs of a connection agree on, before there is an endpoint to keep it: a half-open entry and a SYN
// cookie hold it. Plain old data. RFC 9293 §3.7.1, RFC 7323 §2.2 and §3.2,
// RFC 2018 §2, RFC 3168 §6.1.1.
#pragma once

#include <cstdint>

namespace millrace::tcp {

/// Terms that a SYN proposed and we accepted.
struct HandshakeTerms {
    uint16_t peer_mss;             ///< as announced, or the default of RFC 9293 §3.7.1
    uint8_t send_scale;            ///< the peer's shift; 0 without has_window_scale
    uint8_t has_window_scale : 1;  ///< both sides sent it
    uint8_t has_timestamps : 1;    ///< both sides sent it
    uint8_t has_sack : 1;          ///< both sides permit it
    uint8_t has_ecn : 1;           ///< the SYN asked for it and we agreed
};

}  // namespace millrace::tcp
