// IP addresses as both programs and the shared files carry them: always 16 bytes in network order, an IPv4 address in
// its mapped form ::ffff:a.b.c.d (RFC 4291 §2.5.5.2). One type serves records, snapshots and statistics.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace millrace {

struct IpAddress {
    std::array<uint8_t, 16> bytes{};

    static constexpr IpAddress v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d) {
        return {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d}};
    }

    /// True for the mapped form, which is how IPv4 is carried.
    constexpr bool is_v4() const {
        // By words, since every packet asks: compilers keep a loop over the bytes a loop.
        struct Words {
            uint64_t zero;
            uint32_t mapped;
            uint32_t v4;
        };
        const Words words = std::bit_cast<Words>(bytes);
        return words.zero == 0 && words.mapped == std::bit_cast<uint32_t>(std::array<uint8_t, 4>{0, 0, 0xff, 0xff});
    }

    /// True when all 16 bytes are zero: "no address".
    constexpr bool is_unspecified() const {
        for (uint8_t byte : bytes)
            if (byte != 0) return false;
        return true;
    }

    /// The four bytes of an IPv4 address as they stand on the wire, in host memory order. Only for is_v4().
    uint32_t v4_network_order() const {
        uint32_t value;
        std::memcpy(&value, bytes.data() + 12, 4);
        return value;
    }

    /// True when the first `prefix_length` bits equal those of `network`. `prefix_length` counts in the family of the
    /// address: 0…32 for IPv4, 0…128 for IPv6; addresses of different families never match.
    bool in_prefix(const IpAddress& network, uint8_t prefix_length) const;

    auto operator<=>(const IpAddress&) const = default;
};
static_assert(sizeof(IpAddress) == 16 && std::is_trivially_copyable_v<IpAddress>);

/// Parses dotted-quad IPv4 or RFC 4291 §2.2 IPv6 text (no zone, no brackets). Empty when the text is neither.
std::optional<IpAddress> parse_ip_address(std::string_view text);

/// Dotted quad for IPv4, RFC 5952 text for IPv6.
std::string to_string(const IpAddress& address);

/// The same text into a caller's buffer (at least 46 bytes), without allocating.
std::string_view write_address(const IpAddress& address, std::span<char> out);

struct MacAddress {
    std::array<uint8_t, 6> bytes{};
    auto operator<=>(const MacAddress&) const = default;
};
static_assert(sizeof(MacAddress) == 6);

/// Six lower-case hexadecimal pairs joined by colons.
std::string to_string(const MacAddress& address);

}  // namespace millrace
