// The spellings of addresses in a configuration. Each function returns what is wrong with the text and what would be
// right, or nothing after it has stored the value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <millrace/address.h>

#include "control/config/model.h"

namespace millrace::control {

/// "198.18.0.1/24": an address that a host may have, with the length of its network's prefix.
std::string parse_interface_address(std::string_view text, InterfaceAddress& out);

/// "198.18.0.0/24": no bit set behind the prefix.
std::string parse_network(std::string_view text, InterfaceAddress& out);

/// An address that a host may have: not unspecified, not multicast.
std::string parse_host_address(std::string_view text, IpAddress& out);

/// The same, or "*", which stores the unspecified address.
std::string parse_listener_address(std::string_view text, IpAddress& out);

/// "HOST:PORT" or "[IPV6]:PORT"; the host without brackets.
std::string parse_server_address(std::string_view text, std::string& host, uint16_t& port);

/// A name as the resolver may be asked for, or an IP address.
bool valid_server_host(std::string_view text);

/// `address` with every bit behind the prefix cleared.
IpAddress network_of(const IpAddress& address, uint8_t prefix_length);

/// An address that one host may own: not unspecified, 0.0.0.0/8, multicast or broadcast.
bool is_host_address(const IpAddress& address);

}  // namespace millrace::control
