#include "tests/sim/network.h"

#include <algorithm>
#include <set>

#include "dataplane/wire/ethernet.h"

namespace millrace::sim {
namespace {

constexpr size_t ethernet_header_length = 14;

bool is_ipv4(std::span<const uint8_t> frame) {
    return frame.size() > ethernet_header_length && frame[12] == 0x08 && frame[13] == 0x00;
}

}  // namespace

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

void Network::transmit(size_t from, std::span<const uint8_t> frame) {
    Port& port = ports_[from];
    const LinkOptions& link = port.link;
    ++totals_.sent;
    if (tap_) tap_(now_, frame);

    TimeUs departs = now_;
    if (link.bits_per_second != 0) {
        const TimeUs busy = std::max(port.line_free_at, now_);
        const TimeUs occupies = frame.size() * 8 * us_per_s / link.bits_per_second;
        if ((busy - now_) * link.bits_per_second / 8 / us_per_s > link.queue_bytes) {
            ++totals_.queue_drops;
            return;
        }
        departs = port.line_free_at = busy + occupies;
    }
    const MacAddress destination = wire::load_mac(frame.data());
    const int copies = random_.chance(link.duplicate) ? 2 : 1;
    totals_.duplicated += static_cast<uint64_t>(copies - 1);
    for (int copy = 0; copy < copies; ++copy) {
        if (random_.chance(link.loss)) {
            ++totals_.lost;
            continue;
        }
        std::vector<uint8_t> bytes(frame.begin(), frame.end());
        if (random_.chance(link.corrupt) && (!link.corrupt_only_ip || is_ipv4(bytes))) {
            ++totals_.corrupted;
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
