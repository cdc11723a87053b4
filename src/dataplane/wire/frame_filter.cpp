#include "dataplane/wire/frame_filter.h"

#include "dataplane/wire/bytes.h"
#include "dataplane/wire/ethernet.h"
#include "dataplane/wire/ip.h"

namespace millrace::wire {
namespace {

constexpr uint8_t protocol_udp = 17;
constexpr uint16_t ethertype_service_vlan = 0x88a8;
constexpr size_t arp_ipv4_length = 28;

/// What the tests look at; an unspecified address and no protocol where there is none.
struct Facts {
    IpAddress source{};
    IpAddress destination{};
    uint16_t source_port = 0;
    uint16_t destination_port = 0;
    bool arp = false;
    bool tcp = false;
    bool udp = false;
    bool icmp = false;
    bool ports = false;
};

void read_transport(uint8_t protocol, std::span<const uint8_t> bytes, Facts& facts) {
    facts.tcp = protocol == protocol_tcp;
    facts.udp = protocol == protocol_udp;
    if ((!facts.tcp && !facts.udp) || bytes.size() < 4) return;
    facts.ports = true;
    facts.source_port = load_be16(bytes.data());
    facts.destination_port = load_be16(bytes.data() + 2);
}

void read_ipv4_facts(std::span<const uint8_t> ip, Facts& facts) {
    if (ip.size() < ipv4_header_length) return;
    facts.source = load_ipv4_address(ip.data() + 12);
    facts.destination = load_ipv4_address(ip.data() + 16);
    facts.icmp = ip[9] == protocol_icmp;
    const size_t header_length = size_t{ip[0] & 0x0fu} * 4;
    const bool later_fragment = (load_be16(ip.data() + 6) & 0x1fff) != 0;
    const bool readable = header_length >= ipv4_header_length && header_length <= ip.size() && !later_fragment;
    read_transport(ip[9], readable ? ip.subspan(header_length) : std::span<const uint8_t>{}, facts);
}

void read_ipv6_facts(std::span<const uint8_t> ip, Facts& facts) {
    if (ip.size() < ipv6_header_length) return;
    facts.source = load_ipv6_address(ip.data() + 8);
    facts.destination = load_ipv6_address(ip.data() + 24);
    uint8_t protocol = ip[6];
    size_t at = ipv6_header_length;
    bool later_fragment = false;
    for (int i = 0; i < extension_header_count_max && is_extension_header(protocol); ++i) {
        if (ip.size() < at + 8) return;
        const bool fragment = protocol == protocol_fragment;
        if (fragment && (load_be16(ip.data() + at + 2) & 0xfff8) != 0) later_fragment = true;
        protocol = ip[at];
        at += fragment ? 8 : (size_t{ip[at + 1]} + 1) * 8;
    }
    facts.icmp = protocol == protocol_icmpv6;
    read_transport(protocol, at <= ip.size() && !later_fragment ? ip.subspan(at) : std::span<const uint8_t>{}, facts);
}

Facts facts_of(std::span<const uint8_t> frame) {
    Facts facts;
    size_t at = 12;
    uint16_t type = 0;
    for (int tags = 0; tags <= 2; ++tags, at += 4) {
        if (frame.size() < at + 2) return facts;
        type = load_be16(frame.data() + at);
        if (type != ethertype_vlan && type != ethertype_service_vlan) break;
    }
    if (frame.size() < at + 2) return facts;
    const std::span<const uint8_t> payload = frame.subspan(at + 2);
    facts.arp = type == ethertype_arp;
    if (facts.arp && payload.size() >= arp_ipv4_length) {
        facts.source = load_ipv4_address(payload.data() + 14);
        facts.destination = load_ipv4_address(payload.data() + 24);
    }
    if (type == ethertype_ipv4) read_ipv4_facts(payload, facts);
    if (type == ethertype_ipv6) read_ipv6_facts(payload, facts);
    return facts;
}

bool holds(const CaptureStep& step, const Facts& facts) {
    switch (step.test) {
        case CaptureTest::host:
            return facts.source == step.address || facts.destination == step.address;
        case CaptureTest::port:
            return facts.ports && (facts.source_port == step.port || facts.destination_port == step.port);
        case CaptureTest::tcp:
            return facts.tcp;
        case CaptureTest::udp:
            return facts.udp;
        case CaptureTest::icmp:
            return facts.icmp;
        default:
            return facts.arp;
    }
}

}  // namespace

bool is_sound(const CaptureFilter& filter) {
    if (filter.count > CaptureFilter::steps_max) return false;
    uint32_t values = 0;
    for (uint32_t i = 0; i < filter.count; ++i) {
        const CaptureTest test = filter.steps[i].test;
        if (test > CaptureTest::or_) return false;
        const uint32_t needed = test < CaptureTest::not_ ? 0 : test == CaptureTest::not_ ? 1 : 2;
        if (values < needed) return false;
        values = values - needed + 1;
    }
    return filter.count == 0 || values == 1;
}

bool matches(const CaptureFilter& filter, std::span<const uint8_t> frame) {
    if (filter.count == 0) return true;
    const Facts facts = facts_of(frame);
    uint64_t values = 0;  // a stack, the topmost in the lowest bit
    for (uint32_t i = 0; i < filter.count; ++i) {
        const CaptureStep& step = filter.steps[i];
        switch (step.test) {
            case CaptureTest::not_:
                values ^= 1;
                break;
            case CaptureTest::and_:
                values = values >> 1 & (~uint64_t{1} | (values & 1));
                break;
            case CaptureTest::or_:
                values = values >> 1 | (values & 1);
                break;
            default:
                values = values << 1 | static_cast<uint64_t>(holds(step, facts));
                break;
        }
    }
    return (values & 1) != 0;
}

}  // namespace millrace::wire
