#include "dataplane/net/ip_layer.h"

#include <algorithm>

#include "dataplane/base/fault.h"

namespace millrace::net {
namespace {

constexpr TimeUs poll_interval_us = us_per_ms;

}  // namespace

IpLayer::IpLayer(FrameSink& sink, std::vector<MacAddress> macs, uint32_t neighbours_max)
    : sink_(sink), macs_(std::move(macs)), neighbours_(neighbours_max) {
    unannounced_.reserve(local_address_max);
}

void IpLayer::set_config(const config::RuntimeConfig& config, bool announce) {
    const auto before = config_ == nullptr ? std::span<const config::LocalAddress>{} : config_->local_addresses();
    const auto now = config.local_addresses();
    config_ = &config;
    std::erase_if(unannounced_, [&](uint16_t id) { return !now[id].present; });
    for (uint16_t id = 0; announce && id < now.size(); ++id) {
        const bool known = id < before.size() && before[id].present && before[id].interface == now[id].interface;
        if (now[id].present && !known && !std::ranges::count(unannounced_, id)) unannounced_.push_back(id);
    }
}

wire::LinkHeader IpLayer::link_to(uint16_t interface, const MacAddress& destination) const {
    const uint16_t vlan = fault(Fault::net_frame_without_vlan) ? uint16_t{0} : interface_record(interface).vlan;
    return {macs_[interface], destination, vlan};
}

/// Whether a question about `address` that was sent to the MAC address `asked` is ours to answer. For an address that a
/// reload took away only those who know us already are answered: its connections go on, and a new owner can announce
/// it.
bool IpLayer::answers_for(uint16_t interface, const IpAddress& address, const MacAddress& asked) const {
    const uint16_t id = config_->known_local_id(address);
    if (id == no_slot) return false;
    const config::LocalAddress& local = config_->local_addresses()[id];
    return local.interface == interface && (local.present || !wire::is_group(asked));
}

/// The address to ask for `target` from: one of its own network, since a neighbour may ignore others; else any of its
/// family on the link.
const LocalAddressRecord* IpLayer::source_for(uint16_t interface, const IpAddress& target) const {
    const LocalAddressRecord* any = nullptr;
    for (const LocalAddressRecord& local : config_->snapshot().local_addresses()) {
        if (local.interface != interface || local.address.is_v4() != target.is_v4()) continue;
        if (target.in_prefix(local.address, local.prefix_length)) return &local;
        if (any == nullptr) any = &local;
    }
    return any;
}

bool IpLayer::on_frame(const InboundFrame& inbound, const wire::ParsedFrame& frame, TimeUs now) {
    switch (frame.kind) {
        case wire::FrameKind::arp:
            return on_arp(inbound, frame, now);
        case wire::FrameKind::ndp_solicitation:
            return on_solicitation(inbound, frame, now);
        case wire::FrameKind::ndp_advertisement:
            return on_advertisement(inbound, frame.ndp, now);
        case wire::FrameKind::icmp_echo_request:
            if (!inbound.learn_only) on_echo_request(inbound, frame);
            return false;
        default:
            return false;
    }
}

bool IpLayer::on_arp(const InboundFrame& inbound, const wire::ParsedFrame& frame, TimeUs now) {
    const wire::ArpPacket& packet = frame.arp;
    const bool for_us = answers_for(inbound.interface, packet.target, frame.destination_mac);
    const bool changed = neighbours_.learn(inbound.interface, packet.sender,
                                           {.mac = packet.sender_mac, .solicited = for_us && !packet.is_request}, now);
    const bool learn_only = inbound.learn_only && !fault(Fault::net_answers_learn_only);
    if (!packet.is_request || !for_us || learn_only) return for_us || changed;
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
    return true;
}

bool IpLayer::on_solicitation(const InboundFrame& inbound, const wire::ParsedFrame& frame, TimeUs now) {
    const wire::NdpMessage& question = frame.ndp;
    const bool probe = question.source.is_unspecified();  // duplicate address detection, RFC 4862 §5.4
    const bool changed = !probe && question.has_link_address &&
                         neighbours_.learn(inbound.interface, question.source, {.mac = question.link_address}, now);
    if (inbound.learn_only || !answers_for(inbound.interface, question.target, frame.destination_mac)) return changed;
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
    return true;
}

bool IpLayer::on_advertisement(const InboundFrame& inbound, const wire::NdpMessage& message, TimeUs now) {
    NeighbourClaim claim{.mac = std::nullopt, .solicited = message.is_solicited, .overrides = message.is_override};
    if (message.has_link_address) claim.mac = message.link_address;
    const bool for_us = config_->known_local_id(message.destination) != no_slot;
    return neighbours_.learn(inbound.interface, message.target, claim, now) || for_us;
}

void IpLayer::trust_sender(TimeUs now) {
    const std::optional<config::NextHop> hop = config_->routes().lookup(sender_.address);
    if (hop && hop->interface == sender_.interface) neighbours_.suppose(hop->interface, hop->address, sender_.mac, now);
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
    if (mac == nullptr)
        return neighbours_.is_silent(hop->interface, hop->address, now) ? PathState::silent : PathState::unresolved;
    path = {hop->interface, link_to(hop->interface, *mac)};
    return PathState::ready;
}

void IpLayer::send(const Path& path, wire::OutboundSegment& segment) {
    segment.header.source = config_->local_addresses()[segment.local_id].address;
    const std::span<uint8_t> room = sink_.reserve(path.interface);
    if (const size_t length = wire::write_tcp(room, path.link, segment, {}))
        sink_.commit(path.interface, length);
    else
        ++counters_.no_credit_dropped;
}

void IpLayer::send_or_drop(wire::OutboundSegment& segment, TimeUs now) {
    const IpAddress& peer = segment.header.destination;
    const std::optional<config::NextHop> hop = config_->routes().lookup(peer);
    if (!hop) {
        ++counters_.unreachable_dropped;
        return;
    }
    const MacAddress* mac = neighbours_.known(hop->interface, hop->address, now);
    if (mac == nullptr && sender_.interface == hop->interface && sender_.address == peer) mac = &sender_.mac;
    if (mac != nullptr)
        send({hop->interface, link_to(hop->interface, *mac)}, segment);
    else
        ++counters_.unresolved_dropped;
}

EchoOutcome IpLayer::send_echo(const wire::IcmpEcho& question, TimeUs now, EchoWay& way) {
    const std::optional<config::NextHop> hop = config_->routes().lookup(question.destination);
    if (!hop) return EchoOutcome::unreachable;
    way.interface = hop->interface;
    way.next_hop = hop->address;
    const LocalAddressRecord* source = source_for(hop->interface, hop->address);
    if (source == nullptr) return EchoOutcome::unreachable;
    way.source = source->address;
    constexpr size_t headers_v4 = 28, headers_v6 = 48;
    const size_t length = question.payload.size() + (question.destination.is_v4() ? headers_v4 : headers_v6);
    if (length > interface_record(hop->interface).mtu) return EchoOutcome::too_long;
    const MacAddress* mac = neighbours_.resolve(hop->interface, hop->address, now);
    const std::span<uint8_t> room = mac == nullptr ? std::span<uint8_t>{} : sink_.reserve(hop->interface);
    if (room.empty()) return EchoOutcome::waits;
    wire::IcmpEcho echo = question;
    echo.source = source->address;
    const size_t written = wire::write_icmp_echo_request(room, link_to(hop->interface, *mac), echo, {});
    if (written == 0) return EchoOutcome::too_long;
    sink_.commit(hop->interface, written);
    return EchoOutcome::sent;
}

void IpLayer::poll(TimeUs now) {
    if (now - polled_at_ < poll_interval_us) return;
    polled_at_ = now;
    for (const Solicitation& question : neighbours_.questions()) solicit(question);
    neighbours_.clear_questions();
    if (!unannounced_.empty())
        std::erase_if(unannounced_, [&](uint16_t id) { return announce(config_->local_addresses()[id]); });
}

void IpLayer::solicit(const Solicitation& question) {
    const bool v4 = question.target.is_v4();
    const LocalAddressRecord* source = source_for(question.interface, question.target);
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

/// False when there is no room now.
bool IpLayer::announce(const config::LocalAddress& local) {
    const std::span<uint8_t> room = sink_.reserve(local.interface);
    const MacAddress& mac = macs_[local.interface];
    size_t length;
    if (local.address.is_v4()) {
        const wire::ArpPacket packet{
            .is_request = true, .sender_mac = mac, .sender = local.address, .target_mac = {}, .target = local.address};
        length = wire::write_arp(room, link_to(local.interface, wire::broadcast_mac), packet);
    } else {
        wire::NdpMessage message;
        message.source = local.address;
        message.destination = wire::all_nodes_address;
        message.target = local.address;
        message.has_link_address = true;
        message.link_address = mac;
        message.is_override = true;
        length = wire::write_ndp_advertisement(room, link_to(local.interface, wire::multicast_mac(message.destination)),
                                               message);
    }
    if (length == 0) return false;
    sink_.commit(local.interface, length);
    return true;
}

}  // namespace millrace::net
