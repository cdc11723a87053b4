// Names of connections for fuzz targets of TCP, and times to begin at. For fuzz targets only.
#pragma once

#include "dataplane/tcp/secrets.h"

namespace millrace::fuzz {

inline tcp::Tuple tuple_to(uint8_t host, bool v6, uint16_t local_port, uint16_t peer_port) {
    if (!v6) return {IpAddress::v4(198, 18, 0, 1), IpAddress::v4(198, 18, 0, host), local_port, peer_port};
    tcp::Tuple made{{}, {}, local_port, peer_port};
    made.local.bytes = {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    made.peer.bytes = made.local.bytes;
    made.peer.bytes[15] = host;
    return made;
}

/// A time at which the numbers, the timestamps or a clock of 32 bits are about to wrap around.
inline TimeUs start_time(const tcp::Secrets& secrets, const tcp::Tuple& client, const tcp::Tuple& server, uint8_t which,
                         uint16_t ahead) {
    const auto wrapping_isn = [&](const tcp::Tuple& name) {
        const uint32_t at_zero = tcp::initial_sequence_number(secrets, name, 0).value;
        return TimeUs{4} * (0u - at_zero - ahead - 2) + (TimeUs{1} << 40);
    };
    const auto wrapping_timestamp = [&](const tcp::Tuple& name) {
        return (TimeUs{0u - tcp::timestamp_offset(secrets, name)} + (TimeUs{1} << 32)) * us_per_ms - ahead * 50u;
    };
    switch (which % 8) {
        case 0:
            return wrapping_isn(client);
        case 1:
            return wrapping_isn(server);
        case 2:
            return wrapping_timestamp(client);
        case 3:
            return wrapping_timestamp(server);
        case 4:
            return (TimeUs{1} << 32) - ahead * 100u;  // microseconds
        case 5:
            return (TimeUs{1} << 32) * us_per_ms - ahead * 100u;  // milliseconds
        default:
            return us_per_s + ahead;
    }
}

}  // namespace millrace::fuzz
