#include "dataplane/net/pinger.h"

#include <algorithm>
#include <cstring>

namespace millrace::net {
namespace {

constexpr uint32_t timeout_max_ms = 10'000;

}  // namespace

bool Pinger::start(uint64_t request_id, const Ping& request, uint64_t nonce, TimeUs now) {
    const auto slot = std::ranges::find(slots_, State::free, &Slot::state);
    if (slot == slots_.end()) return false;
    *slot = {.state = State::waiting,
             .sequence = static_cast<uint16_t>(++count_ * outstanding_max + static_cast<size_t>(slot - slots_.begin())),
             .request_id = request_id,
             .nonce = nonce,
             .sent_at = 0,
             .deadline = now + std::clamp<uint32_t>(request.timeout_ms, 1, timeout_max_ms) * us_per_ms,
             .request = request,
             .result = {}};
    slot->request.payload_bytes = std::clamp(request.payload_bytes, ping_payload_min, ping_payload_max);
    slot->result.interface = no_slot;
    ++active_;
    return true;
}

void Pinger::finish(Slot& slot, PingEnd end) {
    slot.state = State::finished;
    slot.result.end = end;
}

void Pinger::send(Slot& slot, IpLayer& ip, TimeUs now) {
    const auto payload = std::span(payload_).first(slot.request.payload_bytes);
    for (size_t i = sizeof slot.nonce; i < payload.size(); ++i) payload[i] = static_cast<uint8_t>(i);
    std::memcpy(payload.data(), &slot.nonce, sizeof slot.nonce);
    EchoWay way;
    const EchoOutcome outcome = ip.send_echo(
        {.destination = slot.request.address, .id = id_, .sequence = slot.sequence, .payload = payload}, now, way);
    slot.result.interface = way.interface;
    slot.result.source = way.source;
    slot.result.next_hop = way.next_hop;
    switch (outcome) {
        case EchoOutcome::sent:
            slot.state = State::sent;
            slot.sent_at = sent_at_ = now;
            return;
        case EchoOutcome::waits:
            return;
        case EchoOutcome::unreachable:
            return finish(slot, PingEnd::no_route);
        case EchoOutcome::too_long:
            return finish(slot, PingEnd::too_long);
    }
}

void Pinger::on_reply(const wire::IcmpEcho& reply, TimeUs now) {
    Slot& slot = slots_[reply.sequence % outstanding_max];
    if (slot.state != State::sent || reply.id != id_ || reply.sequence != slot.sequence) return;
    if (reply.source != slot.request.address || reply.destination != slot.result.source) return;
    if (reply.payload.size() != slot.request.payload_bytes ||
        std::memcmp(reply.payload.data(), &slot.nonce, sizeof slot.nonce) != 0)
        return;
    slot.result.rtt_us = static_cast<uint32_t>(now - slot.sent_at);
    finish(slot, PingEnd::answered);
}

void Pinger::poll(IpLayer& ip, TimeUs now) {
    for (Slot& slot : slots_) {
        if (slot.state == State::waiting && (sent_at_ == 0 || now - sent_at_ >= interval_us)) send(slot, ip, now);
        if (slot.state == State::waiting && now >= slot.deadline) finish(slot, PingEnd::no_neighbour);
        if (slot.state == State::sent && now >= slot.deadline) finish(slot, PingEnd::timed_out);
    }
}

std::optional<Pinger::Finished> Pinger::take_finished() {
    const auto slot = std::ranges::find(slots_, State::finished, &Slot::state);
    if (slot == slots_.end()) return std::nullopt;
    slot->state = State::free;
    --active_;
    return Finished{slot->request_id, slot->result};
}

}  // namespace millrace::net
