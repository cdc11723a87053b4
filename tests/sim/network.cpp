#include "tests/sim/network.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/ethernet.h"

namespace millrace::sim {
namespace {

constexpr size_t ethernet_header_length = 14;

bool is_ipv4(std::span<const uint8_t> frame) {
    return frame.size() > ethernet_header_length && frame[12] == 0x08 && frame[13] == 0x00;
}

bool is_ipv6(std::span<const uint8_t> frame) {
    return frame.size() > ethernet_header_length && frame[12] == 0x86 && frame[13] == 0xdd;
}

bool carries_tcp(std::span<const uint8_t> frame) {
    if (is_ipv4(frame)) return frame.size() > ethernet_header_length + 9 && frame[ethernet_header_length + 9] == 6;
    return is_ipv6(frame) && frame.size() > ethernet_header_length + 6 && frame[ethernet_header_length + 6] == 6;
}

void store_be16(uint8_t* at, size_t value) {
    at[0] = static_cast<uint8_t>(value >> 8);
    at[1] = static_cast<uint8_t>(value);
}

void store_sum(uint8_t* at, uint64_t sum) {
    const uint16_t value = wire::checksum_finish(sum);
    std::memcpy(at, &value, 2);
}

/// Destination unreachable, fragmentation needed (RFC 1191 §4), as a router on the path sends it about `packet`.
std::vector<uint8_t> fragmentation_needed(std::span<const uint8_t> packet, uint16_t mtu) {
    const size_t quoted = std::min<size_t>(packet.size(), 28);
    std::vector<uint8_t> out(28 + quoted);
    out[0] = 0x45;
    store_be16(&out[2], out.size());
    out[8] = 64;
    out[9] = 1;
    std::copy_n(&packet[16], 4, &out[12]);  // in the name of the destination
    std::copy_n(&packet[12], 4, &out[16]);
    store_sum(&out[10], wire::checksum_add(0, out.data(), 20));
    out[20] = 3;
    out[21] = 4;
    store_be16(&out[26], mtu);
    std::copy_n(packet.begin(), quoted, &out[28]);
    store_sum(&out[22], wire::checksum_add(0, &out[20], out.size() - 20));
    return out;
}

/// Packet too big (RFC 4443 §3.2).
std::vector<uint8_t> packet_too_big(std::span<const uint8_t> packet, uint16_t mtu) {
    const size_t quoted = std::min<size_t>(packet.size(), 128);
    std::vector<uint8_t> out(48 + quoted);
    out[0] = 0x60;
    store_be16(&out[4], out.size() - 40);
    out[6] = 58;
    out[7] = 64;
    std::copy_n(&packet[24], 16, &out[8]);
    std::copy_n(&packet[8], 16, &out[24]);
    out[40] = 2;
    store_be16(&out[46], mtu);
    std::copy_n(packet.begin(), quoted, &out[48]);
    uint8_t pseudo[4] = {0, 58};
    store_be16(&pseudo[2], out.size() - 40);
    store_sum(&out[42], wire::checksum_add(wire::checksum_add(0, pseudo, 4), &out[8], out.size() - 8));
    return out;
}

}  // namespace

LinkOptions bad_weather(Random& random) {
    const auto some = [&](double most, double never) {
        return random.chance(never) ? 0 : most * static_cast<double>(random.below(1001)) / 1000;
    };
    LinkOptions link{.loss = some(0.10, 0.3),
                     .burst = some(0.01, 0.6),
                     .burst_us = random.between(100, 200'000),
                     .duplicate = some(0.05, 0.3),
                     .reorder = some(0.25, 0.3),
                     .corrupt = some(0.02, 0.3),
                     .corrupt_only_ip = true,
                     .delay_us = random.between(10, 40'000),
                     .jitter_us = random.between(0, random.chance(0.3) ? 50'000 : 2'000),
                     .reorder_delay_us = random.between(100, 60'000)};
    if (random.chance(0.3)) {
        link.bits_per_second = random.between(2, 100) * 1'000'000;
        link.queue_bytes = random.between(8, 256) * 1024;
    }
    if (random.chance(0.2)) {
        link.flap_every_us = random.between(2, 30) * us_per_s;
        link.flap_down_us = random.between(1, link.flap_every_us / 4);
    }
    return link;
}

void Network::attach(Node& node, const MacAddress& mac, const LinkOptions& link) {
    ports_.push_back({&node, mac, link});
}

void Network::set_link(const MacAddress& mac, const LinkOptions& link) {
    for (Port& port : ports_)
        if (port.mac == mac) port.link = link;
}

void Network::poll(size_t port) {
    ports_[port].node->poll(now_, [this, port](std::span<const uint8_t> frame) { transmit(port, frame); });
}

/// Whether a frame gets onto the line at all; if so, when it leaves it.
bool Network::passes(Port& port, std::span<const uint8_t> frame, TimeUs& departs) {
    const LinkOptions& link = port.link;
    if (link.flap_every_us != 0 && now_ >= port.down_until) {
        port.down_from = now_ + random_.between(link.flap_every_us / 2, link.flap_every_us * 3 / 2);
        port.down_until = port.down_from + link.flap_down_us;
    }
    if (link.flap_every_us != 0 && now_ >= port.down_from) {
        ++totals_.lost_while_down;
        return false;
    }
    // In time, not in frames: else a sender in backoff, one frame a minute, would meet one burst for hours.
    if (random_.chance(link.burst)) port.burst_until = now_ + random_.below(2 * link.burst_us + 1);
    if (now_ < port.burst_until) {
        ++totals_.lost_in_bursts;
        return false;
    }
    departs = now_;
    if (link.bits_per_second == 0) return true;
    const TimeUs busy = std::max(port.line_free_at, now_);
    if ((busy - now_) * link.bits_per_second / 8 / us_per_s > link.queue_bytes) {
        ++totals_.queue_drops;
        return false;
    }
    departs = port.line_free_at = busy + frame.size() * 8 * us_per_s / link.bits_per_second;
    return true;
}

void Network::transmit(size_t from, std::span<const uint8_t> frame) {
    Port& port = ports_[from];
    const LinkOptions& link = port.link;
    ++totals_.sent;
    if (tap_) tap_(now_, frame);

    const uint64_t about_neighbours = carries_tcp(frame) ? 0 : 1;
    TimeUs departs;
    if (!passes(port, frame, departs)) {
        totals_.neighbour_messages_lost += about_neighbours;
        return;
    }
    if (link.mtu_bytes != 0 && frame.size() > ethernet_header_length + link.mtu_bytes) {
        ++totals_.too_big;
        if (!link.black_hole) refuse_too_big(from, frame, departs + 2 * link.delay_us);
        return;
    }
    const MacAddress destination = wire::load_mac(frame.data());
    const int copies = random_.chance(link.duplicate) ? 2 : 1;
    totals_.duplicated += static_cast<uint64_t>(copies - 1);
    for (int copy = 0; copy < copies; ++copy) {
        if (random_.chance(link.loss)) {
            ++totals_.lost;
            totals_.neighbour_messages_lost += about_neighbours;
            continue;
        }
        std::vector<uint8_t> bytes(frame.begin(), frame.end());
        if (random_.chance(link.corrupt) && (!link.corrupt_only_ip || is_ipv4(bytes))) {
            ++totals_.corrupted;
            totals_.neighbour_messages_lost += about_neighbours;
            const size_t first = link.corrupt_only_ip ? ethernet_header_length : 0;
            bytes[first + random_.below(bytes.size() - first)] ^= static_cast<uint8_t>(1u << random_.below(8));
        }
        TimeUs at = departs + link.delay_us + random_.below(link.jitter_us + 1);
        if (random_.chance(link.reorder)) {
            ++totals_.reordered;
            at += random_.below(link.reorder_delay_us + 1);
        } else {
            at = port.in_order_until = std::max(at, port.in_order_until);
        }
        for (size_t to = 0; to < ports_.size(); ++to)
            if (to != from && (wire::is_group(destination) || ports_[to].mac == destination)) deliver(to, at, bytes);
    }
}

void Network::refuse_too_big(size_t from, std::span<const uint8_t> frame, TimeUs at) {
    const std::span<const uint8_t> packet = frame.subspan(ethernet_header_length);
    std::vector<uint8_t> answer(frame.begin() + 6, frame.begin() + 12);
    answer.insert(answer.end(), frame.begin(), frame.begin() + 6);
    answer.insert(answer.end(), frame.begin() + 12, frame.begin() + 14);
    std::vector<uint8_t> error;
    if (is_ipv4(frame)) error = fragmentation_needed(packet, ports_[from].link.mtu_bytes);
    if (is_ipv6(frame)) error = packet_too_big(packet, ports_[from].link.mtu_bytes);
    answer.insert(answer.end(), error.begin(), error.end());
    if (!error.empty()) deliver(from, at, std::move(answer));
}

void Network::deliver(size_t to, TimeUs at, std::vector<uint8_t> frame) {
    arrivals_.push({at, order_++, to, std::move(frame)});
}

std::optional<TimeUs> Network::next_event() {
    std::optional<TimeUs> next;
    if (!arrivals_.empty()) next = arrivals_.top().at;
    for (Port& port : ports_) {
        const std::optional<TimeUs> deadline = port.node->next_deadline(now_);
        if (deadline && (!next || *deadline < *next)) next = deadline;
    }
    return next;
}

bool Network::run(TimeUs end, const std::function<bool()>& done) {
    for (size_t i = 0; i < ports_.size(); ++i) poll(i);
    while (!done()) {
        const std::optional<TimeUs> next = next_event();
        if (!next || *next > end) return false;
        now_ = std::max(now_, *next);
        std::set<size_t> touched;
        while (!arrivals_.empty() && arrivals_.top().at <= now_) {
            const Arrival arrival = arrivals_.top();
            arrivals_.pop();
            ++totals_.delivered;
            ports_[arrival.port].node->receive(arrival.frame, now_);
            touched.insert(arrival.port);
        }
        for (size_t i = 0; i < ports_.size(); ++i) {
            const std::optional<TimeUs> deadline = ports_[i].node->next_deadline(now_);
            if (touched.contains(i) || (deadline && *deadline <= now_)) poll(i);
        }
        if (observer_) observer_(now_);
    }
    return true;
}

}  // namespace millrace::sim
