#include "dataplane/worker/worker.h"

#include <millrace/assert.h>

#include "dataplane/base/fault.h"
#include "dataplane/wire/ethernet.h"

namespace millrace::worker {
namespace {

constexpr uint32_t shared_per_ms = 64;  // neighbours' messages to the other workers: a fraction of their inboxes

/// The first segment of a connection from a peer.
bool is_opening(const wire::TcpSegment& segment) {
    return segment.has(wire::tcp_syn) && !segment.has(wire::tcp_ack);
}

}  // namespace

Worker::Worker(const WorkerSetup& setup, const config::RuntimeConfig& config)
    : index_(setup.index),
      worker_count_(setup.worker_count),
      shard_owners_(setup.shard_owners),
      toeplitz_(*setup.toeplitz),
      shards_by_number_(setup.shard_owners.size(), nullptr),
      macs_(setup.macs),
      stats_(*setup.stats),
      config_(&config),
      control_(setup.events),
      ip_(*setup.sink, setup.macs, config.snapshot().dataplane().neighbours_max),
      engine_({.shards = setup.shards,
               .ip = ip_,
               .port_classes = *setup.port_classes,
               .stats = *setup.stats,
               .other_stats = setup.other_stats,
               .control = control_,
               .random_seed = setup.random_seed,
               .worker = setup.index,
               .connection_id_base = setup.connection_id_base,
               .handshakes = setup.handshakes},
              config) {
    for (relay::Shard* shard : setup.shards) shards_by_number_[shard->number] = shard;
    for (const InterfaceRecord& interface : config.snapshot().interfaces()) vlans_.push_back(interface.vlan);
    ip_.set_config(config, index_ == 0);
}

void Worker::set_config(const config::RuntimeConfig& config) {
    engine_.set_config(config);
    ip_.set_config(config, index_ == 0);
    config_ = &config;
    last_local_id_ = no_slot;
    last_destination_ = {};
}

void Worker::release_shard(relay::Shard& shard, TimeUs now) {
    engine_.release_shard(shard, now);
    shards_by_number_[shard.number] = nullptr;
}

void Worker::take_shard(relay::Shard& shard, TimeUs now) {
    engine_.take_shard(shard, now);
    shards_by_number_[shard.number] = &shard;
}

relay::Shard* Worker::shard_of(const wire::FlowKey& key, uint16_t& owner) const {
    const uint32_t hash = toeplitz_.hash(key.source, key.destination, key.source_port, key.destination_port);
    const size_t number = hash & (shard_owners_.size() - 1);
    owner = shard_owners_[fault(Fault::worker_dispatch_to_wrong_worker) ? 0 : number];
    return shards_by_number_[number];
}

void Worker::receive(std::span<const net::InboundFrame> frames, std::span<uint16_t> others, TimeUs now) {
    MILLRACE_ASSERT(frames.size() <= burst_max && others.size() >= frames.size());
    std::array<relay::Shard*, burst_max> shards{};
    std::array<uint32_t, burst_max> hashes{};
    for (size_t i = 0; i < frames.size(); ++i) {
        others[i] = nobody_else;
        const std::optional<wire::FlowKey> key = wire::peek_flow(frames[i].bytes, vlans_[frames[i].interface]);
        if (!key || !key->is_tcp) continue;
        uint16_t owner = index_;
        shards[i] = shard_of(*key, owner);
        if (shards[i] == nullptr) {
            others[i] = owner;
            continue;
        }
        hashes[i] = shards[i]->flow_hash(key->source, key->destination, key->source_port, key->destination_port);
        shards[i]->flows.prefetch(hashes[i]);
    }
    for (size_t i = 0; i < frames.size(); ++i)
        if (shards[i] != nullptr) relay::Engine::prefetch_relay(*shards[i], hashes[i]);
    for (size_t i = 0; i < frames.size(); ++i) {
        if (others[i] != nobody_else) continue;
        others[i] = handle(frames[i], shards[i], hashes[i], now);
        if (others[i] == nobody_else) continue;
        const bool kept = others[i] == everybody && fault(Fault::worker_neighbour_message_kept);
        if (frames[i].learn_only || !may_share(now) || kept) others[i] = nobody_else;
    }
}

/// A flood of neighbours' messages, or of ICMP for others, must not displace the frames of flows in the others'
/// inboxes.
bool Worker::may_share(TimeUs now) {
    if (now / us_per_ms != shared_ms_) {
        shared_ms_ = now / us_per_ms;
        shared_ = 0;
    }
    if (shared_ == shared_per_ms) {
        ++stats_.worker.neighbour_messages_kept;
        return false;
    }
    ++shared_;
    return true;
}

uint16_t Worker::local_id(const IpAddress& destination) {
    if (destination != last_destination_) {
        last_destination_ = destination;
        last_local_id_ = config_->known_local_id(destination);
    }
    return last_local_id_;
}

/// Who else has to see the frame: everybody when it told something of a neighbour.
uint16_t Worker::handle(const net::InboundFrame& frame, relay::Shard* shard, uint32_t flow_hash, TimeUs now) {
    const wire::ParseOptions options{.vlan = vlans_[frame.interface],
                                     .ip_checksum_verified = frame.ip_checksum_verified,
                                     .tcp_checksum_verified = frame.tcp_checksum_verified};
    if (wire::parse_frame(frame.bytes, options, parsed_) == wire::FrameKind::dropped) {
        ++stats_.worker.drops[static_cast<size_t>(parsed_.drop_reason)];
        return nobody_else;
    }
    if (parsed_.destination_mac != macs_[frame.interface] && !wire::is_group(parsed_.destination_mac)) {
        ++stats_.worker.not_ours_dropped;
        return nobody_else;
    }
    if (parsed_.kind == wire::FrameKind::icmp_error) return handle_icmp_error(now);
    if (parsed_.kind == wire::FrameKind::icmp_echo_reply) return handle_echo_reply(now);
    if (parsed_.kind != wire::FrameKind::tcp) return ip_.on_frame(frame, parsed_, now) ? everybody : nobody_else;
    const wire::TcpSegment& segment = parsed_.tcp;
    const uint16_t local = local_id(segment.destination);
    if (local == no_slot || shard == nullptr) {
        ++stats_.worker.not_ours_dropped;
        return nobody_else;
    }
    // The strong host model (RFC 1122 §3.3.4.2) for whoever comes new: a listener on an inner address is not for those
    // on the outer link. Connections go on by whatever way their packets take.
    if (is_opening(segment) && config_->local_addresses()[local].interface != frame.interface) {
        ++stats_.worker.not_ours_dropped;
        return nobody_else;
    }
    ip_.note_sender(frame.interface, parsed_);
    engine_.on_segment(*shard, flow_hash, segment, local, now);
    return nobody_else;
}

/// The device hashed the reporter's address, so the frame may have come to any worker: the flow that it quotes, turned
/// round, tells whose it is.
uint16_t Worker::handle_icmp_error(TimeUs now) {
    const wire::IcmpError& error = parsed_.error;
    if (!error.embedded_is_tcp) return nobody_else;
    uint16_t owner = index_;
    relay::Shard* shard = shard_of({.source = error.embedded_destination,
                                    .destination = error.embedded_source,
                                    .source_port = error.embedded_destination_port,
                                    .destination_port = error.embedded_source_port,
                                    .is_tcp = true},
                                   owner);
    if (shard == nullptr) return owner;
    engine_.on_icmp_error(*shard, error, now);
    return nobody_else;
}

/// Likewise an answer to a ping: its id names the worker that sent it.
uint16_t Worker::handle_echo_reply(TimeUs now) {
    const std::optional<uint16_t> asker = net::Pinger::asker(parsed_.echo);
    if (!asker || *asker >= worker_count_ || local_id(parsed_.echo.destination) == no_slot) return nobody_else;
    if (*asker != index_) return *asker;
    engine_.on_echo_reply(parsed_.echo, now);
    return nobody_else;
}

}  // namespace millrace::worker
