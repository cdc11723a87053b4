// The spellings of addresses: see addresses.h. Every message reads "what is wrong; what would be right" and shows the
// operator's own text through in_quotes(), since it goes to a terminal.
#include "control/config/addresses.h"

#include <algorithm>
#include <optional>

#include <millrace/config_rules.h>

#include "control/config/text.h"

namespace millrace::control {

namespace {

std::optional<InterfaceAddress> parse_prefix(std::string_view text) {
    const size_t slash = text.find('/');
    if (slash == text.npos) return std::nullopt;
    const auto address = parse_ip_address(text.substr(0, slash));
    const auto length = parse_number(text.substr(slash + 1));
    if (!address || !length || *length > (address->is_v4() ? 32u : 128u)) return std::nullopt;
    return InterfaceAddress{*address, static_cast<uint8_t>(*length)};
}

IpAddress broadcast_of(const IpAddress& address, uint8_t prefix_length) {
    IpAddress last = address;
    for (unsigned bit = 96u + prefix_length; bit < 128; ++bit)
        last.bytes[bit / 8] = static_cast<uint8_t>(last.bytes[bit / 8] | 0x80u >> bit % 8);
    return last;
}

}  // namespace

IpAddress network_of(const IpAddress& address, uint8_t prefix_length) {
    IpAddress network = address;
    for (unsigned bit = (address.is_v4() ? 96u : 0u) + prefix_length; bit < 128; ++bit)
        network.bytes[bit / 8] = static_cast<uint8_t>(network.bytes[bit / 8] & ~(0x80u >> bit % 8));
    return network;
}

bool valid_server_host(std::string_view text) {
    if (parse_ip_address(text)) return true;
    std::string lower(text);
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return valid_host_pattern(lower) && lower.find_first_of("*[") == lower.npos;
}

bool is_host_address(const IpAddress& address) {
    if (!address.is_v4()) return !address.is_unspecified() && address.bytes[0] != 0xff;
    return address.bytes[12] != 0 && address.bytes[12] < 224;
}

std::string parse_interface_address(std::string_view text, InterfaceAddress& out) {
    const auto prefix = parse_prefix(text);
    if (!prefix)
        return in_quotes(text) +
               " is no address with a prefix length; write ADDRESS/LENGTH, as \"198.18.0.1/24\" or "
               "\"2001:db8::1/64\"";
    if (!is_host_address(prefix->address))
        return in_quotes(text) + " can't be the address of a host; write one of ours, as \"198.18.0.1/24\"";
    if (prefix->address.is_v4() && prefix->prefix_length < 31) {
        const IpAddress network = network_of(prefix->address, prefix->prefix_length);
        if (prefix->address == network || prefix->address == broadcast_of(prefix->address, prefix->prefix_length))
            return in_quotes(text) + " is the " + (prefix->address == network ? "network" : "broadcast") +
                   " address of its network; write a host's, as one between " + to_string(network) + " and " +
                   to_string(broadcast_of(network, prefix->prefix_length));
    }
    out = *prefix;
    return "";
}

std::string parse_network(std::string_view text, InterfaceAddress& out) {
    const auto prefix = parse_prefix(text);
    if (!prefix)
        return in_quotes(text) +
               " is no network; write NETWORK/LENGTH, as \"198.18.4.0/24\", \"0.0.0.0/0\" or \"::/0\"";
    const IpAddress network = network_of(prefix->address, prefix->prefix_length);
    if (network != prefix->address)
        return in_quotes(text) + " has bits set behind its prefix; write \"" + to_string(network) + "/" +
               std::to_string(prefix->prefix_length) + "\"";
    out = *prefix;
    return "";
}

std::string parse_host_address(std::string_view text, IpAddress& out) {
    const auto address = parse_ip_address(text);
    if (!address || !is_host_address(*address))
        return in_quotes(text) + " is no address of a host; write an IP address, as \"198.18.0.1\" or \"2001:db8::1\"";
    out = *address;
    return "";
}

std::string parse_listener_address(std::string_view text, IpAddress& out) {
    if (text == "*") {
        out = {};
        return "";
    }
    const auto address = parse_ip_address(text);
    if (address && (address->is_unspecified() || *address == IpAddress::v4(0, 0, 0, 0)))
        return in_quotes(text) + " is no address to listen on; write \"*\" for every address of every interface";
    if (!address || !is_host_address(*address))
        return in_quotes(text) + " is no IP address; write an address of an interface, or \"*\" for all of them";
    out = *address;
    return "";
}

std::string parse_server_address(std::string_view text, std::string& host, uint16_t& port) {
    const std::string form = "; write HOST:PORT or [IPV6]:PORT, as \"198.18.0.10:8080\" or \"[2001:db8::10]:8080\"";
    std::string_view host_part;
    size_t colon = text.npos;
    if (text.starts_with("[")) {
        const size_t close = text.find("]:");
        if (close == text.npos ||
            parse_ip_address(text.substr(1, close - 1)).value_or(IpAddress::v4(0, 0, 0, 0)).is_v4())
            return in_quotes(text) + " is no bracketed IPv6 address with a port" + form;
        host_part = text.substr(1, close - 1);
        colon = close + 1;
    } else {
        colon = text.find(':');
        if (colon == text.npos) return in_quotes(text) + " has no port" + form;
        if (text.find(':', colon + 1) != text.npos)
            return in_quotes(text) + " is an IPv6 address without brackets" + form;
        host_part = text.substr(0, colon);
    }
    const auto number = parse_number(text.substr(colon + 1));
    if (!number || *number == 0 || *number > 65535)
        return in_quotes(text.substr(colon + 1)) + " is no port; write 1 to 65535 behind the colon";
    if (!valid_server_host(host_part)) return in_quotes(host_part) + " is neither an IP address nor a host name" + form;
    host = host_part;
    port = static_cast<uint16_t>(*number);
    return "";
}

}  // namespace millrace::control
