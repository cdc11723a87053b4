#include "dataplane/net/ip_layer.h"

#include <array>

namespace millrace::net {
namespace {

constexpr TimeUs poll_interval_us = 10 * us_per_ms;

}  // namespace

IpLayer::IpLayer(FrameSink& sink, std::vector<MacAddress> macs, uint32_t neighbours_max)
    : sink_(sink), macs_(std::move(macs)), neighbours_(neighbours_max) {}

void IpLayer::set_config(const config::RuntimeConfig& config, bool announce) {
    config_ = &config;
    // Ids never change, so only addresses that were appended are new.
    if (!announce) announced_ = config.local_addresses().size();
}

wire::LinkHeader IpLayer::link_to(uint16_t interface, const MacAddress& destination) const {
    return {macs_[interface], destination, interface_record(interface).vlan};
}

bool IpLayer::is_ours(uint16_t interface, const IpAddress& address) const {
    const uint16_t id = config_->local_id(address);
    return id != no_slot && config_->local_addresses()[id].interface == interface;
}

const config::LocalAddress* IpLayer::source_on(uint16_t interface, bool v4) const {
    for (const config::LocalAddress& local : config_->local_addresses())
        if (local.present && local.interface == interface && local.address.is_v4() == v4) return &local;
    return nullptr;
}

void IpLayer::on_frame(const InboundFrame& inbound, const wire::ParsedFrame& frame, TimeUs now) {
    switch (frame.kind) {
        case wire::FrameKind::arp: on_arp(inbound, frame.arp, now); break;
        case wire::FrameKind::ndp_solicitation: on_solicitation(inbound, frame, now); break;
        case wire::FrameKind::ndp_advertisement:
            if (frame.ndp.has_link_address)
                neighbours_.learn(inbound.interface, frame.ndp.target, frame.ndp.link_address, frame.ndp.is_solicited,
                                  now);
            break;
        case wire::FrameKind::icmp_echo_request:
            if (!inbound.learn_only) on_echo_request(inbound, frame);
            break;
        default: break;
    }
}

void IpLayer::on_arp(const InboundFrame& inbound, const wire::ArpPacket& packet, TimeUs now) {
    const bool for_us = is_ours(inbound.interface, packet.target);
    neighbours_.learn(inbound.interface, packet.sender, packet.sender_mac, for_us && !packet.is_request, now);
    if (!packet.is_request || !for_us || inbound.learn_only) return;
    const std::span<uint8_t> room = sink_.reserve(inbound.interface);
    const MacAddress& mac = macs_[inbound.interface];
    const wire::ArpPacket answer{.is_request = false,
                                 .sender_mac = mac,
                                 .sender = packet.target,
                                 .target_mac = packet.sender_mac,
                                 .target = packet.sender};
    if (const size_t length = wire::write_arp(room, link_to(inbound.interface, packet.sender_mac), answer)) {
        sink_.commit(inbound.interface, length);
        ++counters_.arp_answered;
    }
}

void IpLayer::on_solicitation(const InboundFrame& inbound, const wire::ParsedFrame& frame, TimeUs now) {
    const wire::NdpMessage& question = frame.ndp;
    const bool probe = question.source.is_unspecified();  // duplicate address detection, RFC 4862 §5.4
    if (!probe && question.has_link_address)
        neighbours_.learn(inbound.interface, question.source, question.link_address, false, now);
    if (inbound.learn_only || !is_ours(inbound.interface, question.target)) return;
    wire::NdpMessage answer;
    answer.source = question.target;
    answer.destination = probe ? wire::all_nodes_address : question.source;
    answer.target = question.target;
    answer.has_link_address = true;
    answer.link_address = macs_[inbound.interface];
    answer.is_solicited = !probe;
    answer.is_override = true;
    const MacAddress to = probe ? wire::multicast_mac(answer.destination) : frame.source_mac;
    const std::span<uint8_t> room = sink_.reserve(inbound.interface);
    if (const size_t length = wire::write_ndp_advertisement(room, link_to(inbound.interface, to), answer)) {
        sink_.commit(inbound.interface, length);
        ++counters_.ndp_answered;
    }
}

void IpLayer::on_echo_request(const InboundFrame& inbound, const wire::ParsedFrame& frame) {
    const wire::IcmpEcho& question = frame.echo;
    if (config_->local_id(question.destination) == no_slot) return;
    const wire::IcmpEcho answer{.source = question.destination,
                                .destination = question.source,
                                .id = question.id,
                                .sequence = question.sequence,
                                .payload = question.payload};
    const std::span<uint8_t> room = sink_.reserve(inbound.interface);
    const wire::LinkHeader link = link_to(inbound.interface, frame.source_mac);
    if (const size_t length = wire::write_icmp_echo_reply(room, link, answer, {})) {
        sink_.commit(inbound.interface, length);
        ++counters_.echo_answered;
    }
}

PathState IpLayer::path(const IpAddress& peer, TimeUs now, Path& path) {
    const std::optional<config::NextHop> hop = config_->routes().lookup(peer);
    if (!hop) return PathState::unreachable;
    const MacAddress* mac = neighbours_.resolve(hop->interface, hop->address, now);
    if (mac == nullptr) return PathState::unresolved;
    path = {hop->interface, link_to(hop->interface, *mac)};
    return PathState::ready;
}

void IpLayer::send(const Path& path, const wire::OutboundSegment& segment) {
    wire::OutboundSegment addressed = segment;
    addressed.header.source = config_->local_addresses()[segment.local_id].address;
    const std::span<uint8_t> room = sink_.reserve(path.interface);
    if (const size_t length = wire::write_tcp(room, path.link, addressed, {}))
        sink_.commit(path.interface, length);
    else
        ++counters_.no_credit_dropped;
}

void IpLayer::send_or_drop(const wire::OutboundSegment& segment, TimeUs now) {
    Path path;
    switch (this->path(segment.header.destination, now, path)) {
        case PathState::ready: send(path, segment); break;
        case PathState::unresolved: ++counters_.unresolved_dropped; break;
        case PathState::unreachable: ++counters_.unreachable_dropped; break;
    }
}

void IpLayer::poll(TimeUs now) {
    const auto locals = config_->local_addresses();
    for (; announced_ < locals.size() && sink_.credit(locals[announced_].interface) > 1; ++announced_)
        if (locals[announced_].present) announce(locals[announced_]);
    if (now - polled_at_ < poll_interval_us) return;
    polled_at_ = now;
    std::array<Solicitation, 32> questions;
    const size_t count = neighbours_.due(questions, 1024, now);
    for (size_t i = 0; i < count; ++i) solicit(questions[i]);
}

void IpLayer::solicit(const Solicitation& question) {
    const bool v4 = question.target.is_v4();
    const config::LocalAddress* source = source_on(question.interface, v4);
    const std::span<uint8_t> room = sink_.reserve(question.interface);
    if (source == nullptr || room.empty()) return;
    size_t length;
    if (v4) {
        const wire::ArpPacket packet{.is_request = true,
                                     .sender_mac = macs_[question.interface],
                                     .sender = source->address,
                                     .target_mac = {},
                                     .target = question.target};
        length = wire::write_arp(room, link_to(question.interface, question.unicast_to.value_or(wire::broadcast_mac)),
                                 packet);
    } else {
        wire::NdpMessage message;
        message.source = source->address;
        message.destination = question.unicast_to ? question.target : wire::solicited_node_address(question.target);
        message.target = question.target;
        message.has_link_address = true;
        message.link_address = macs_[question.interface];
        const MacAddress to = question.unicast_to.value_or(wire::multicast_mac(message.destination));
        length = wire::write_ndp_solicitation(room, link_to(question.interface, to), message);
    }
    if (length == 0) return;
    sink_.commit(question.interface, length);
    ++counters_.solicitations_sent;
}

void IpLayer::announce(const config::LocalAddress& local) {
    const std::span<uint8_t> room = sink_.reserve(local.interface);
    const MacAddress& mac = macs_[local.interface];
    size_t length;
    if (local.address.is_v4()) {
        const wire::ArpPacket packet{.is_request = true,
                                     .sender_mac = mac,
                                     .sender = local.address,
                                     .target_mac = {},
                                     .target = local.address};
        length = wire::write_arp(room, link_to(local.interface, wire::broadcast_mac), packet);
    } else {
        wire::NdpMessage message;
        message.source = local.address;
        message.destination = wire::all_nodes_address;
        message.target = local.address;
        message.has_link_address = true;
        message.link_address = mac;
        message.is_override = true;
        length = wire::write_ndp_advertisement(
            room, link_to(local.interface, wire::multicast_mac(message.destination)), message);
    }
    if (length != 0) sink_.commit(local.interface, length);
}

}  // namespace millrace::net
