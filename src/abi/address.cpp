#include <arpa/inet.h>
#include <cstdio>

#include <millrace/address.h>

namespace millrace {

bool IpAddress::in_prefix(const IpAddress& network, uint8_t prefix_length) const {
    if (is_v4() != network.is_v4()) return false;
    const unsigned bits = is_v4() ? 96u + prefix_length : prefix_length;
    if (bits > 128) return false;
    const unsigned whole = bits / 8, rest = bits % 8;
    if (std::memcmp(bytes.data(), network.bytes.data(), whole) != 0) return false;
    if (rest == 0) return true;
    const unsigned mask = 0xffu << (8 - rest) & 0xffu;
    return ((bytes[whole] ^ network.bytes[whole]) & mask) == 0;
}

std::optional<IpAddress> parse_ip_address(std::string_view text) {
    char terminated[INET6_ADDRSTRLEN + 1] = {};
    if (text.empty() || text.size() >= sizeof terminated) return std::nullopt;
    std::memcpy(terminated, text.data(), text.size());
    uint8_t v4[4];
    if (inet_pton(AF_INET, terminated, v4) == 1) return IpAddress::v4(v4[0], v4[1], v4[2], v4[3]);
    IpAddress address;
    if (inet_pton(AF_INET6, terminated, address.bytes.data()) == 1) return address;
    return std::nullopt;
}

std::string_view write_address(const IpAddress& address, std::span<char> out) {
    const bool v4 = address.is_v4();
    const uint8_t* bytes = address.bytes.data() + (v4 ? 12 : 0);
    return inet_ntop(v4 ? AF_INET : AF_INET6, bytes, out.data(), static_cast<socklen_t>(out.size()));
}

std::string to_string(const IpAddress& address) {
    char text[INET6_ADDRSTRLEN];
    return std::string(write_address(address, text));
}

std::string to_string(const MacAddress& address) {
    char text[18];
    const auto& b = address.bytes;
    std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
    return text;
}

}  // namespace millrace
