// The walk over IPv6 extension headers (RFC 8200 §4), shared by parse_frame and peek_flow. Bounded: at most
// extension_header_count_max headers, each within the packet; anything that asks for more than skipping is a drop.
#include "dataplane/wire/ip.h"

#include "dataplane/base/fault.h"

namespace millrace::wire {
namespace {

/// Walks the options of a hop-by-hop or destination options header. Those that we don't know may be skipped only when
/// the two high bits of their type say so (RFC 8200 §4.2); padding and router alerts have them clear as well.
DropReason check_ipv6_options(std::span<const uint8_t> options) {
    size_t at = 0;
    while (at < options.size()) {
        const uint8_t type = options[at];
        if (type == 0) {  // Pad1 has no length
            ++at;
            continue;
        }
        if (options.size() - at < 2) return DropReason::bad_option;
        const size_t length = size_t{2} + options[at + 1];
        if (length > options.size() - at) return DropReason::bad_option;
        if ((type & 0xc0) != 0) return DropReason::extension_header;
        at += length;
    }
    return DropReason::none;
}

}  // namespace

UpperLayer skip_extension_headers(std::span<const uint8_t> packet) {
    uint8_t protocol = packet[6];
    size_t offset = ipv6_header_length;
    for (int count = 0; is_extension_header(protocol); ++count) {
        if (protocol == protocol_fragment && !fault(Fault::wire_ipv6_fragment_accepted))
            return {.reason = DropReason::fragment};
        // Hop-by-hop options may only come first (RFC 8200 §4.1).
        if (count == extension_header_count_max || (protocol == protocol_hop_by_hop && count != 0))
            return {.reason = DropReason::extension_header};
        if (packet.size() - offset < 8) return {.reason = DropReason::bad_length};
        const std::span<const uint8_t> rest = packet.subspan(offset);
        const size_t length = size_t{rest[1]} * 8 + 8;
        if (length > rest.size()) return {.reason = DropReason::bad_length};
        if (protocol == protocol_routing) {
            // Segments left: we are not the last stop, and we never forward (RFC 8200 §4.4, RFC 5095).
            if (rest[3] != 0) return {.reason = DropReason::extension_header};
        } else if (const DropReason reason = check_ipv6_options(rest.subspan(2, length - 2));
                   reason != DropReason::none) {
            return {.reason = reason};
        }
        protocol = rest[0];
        offset += length;
    }
    return {.reason = DropReason::none, .protocol = protocol, .offset = offset};
}

}  // namespace millrace::wire
