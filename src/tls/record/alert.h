// Alerts by their numbers (RFC 8446 §6, RFC 5246 §7.2), those that the record layer sends or understands.
#pragma once

#include <cstdint>

namespace millrace::tls {

enum class Alert : uint8_t {
    close_notify = 0,
    unexpected_message = 10,
    bad_record_mac = 20,
    record_overflow = 22,
    illegal_parameter = 47,
    decode_error = 50,
    user_canceled = 90,
    no_renegotiation = 100,
};

inline constexpr uint8_t alert_level_warning = 1;
inline constexpr uint8_t alert_level_fatal = 2;

}  // namespace millrace::tls
