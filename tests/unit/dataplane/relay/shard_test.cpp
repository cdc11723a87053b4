#include "dataplane/relay/shard.h"

#include <bit>
#include <gtest/gtest.h>

namespace millrace::relay {
namespace {

DataplaneRecord settings(uint16_t shards, uint32_t relays) {
    DataplaneRecord record{};
    record.shard_count = shards;
    record.relays_max = relays;
    record.chunk_bytes_max = 64u << 20;
    record.half_open_max = 1000;
    record.time_wait_max = 3000;
    return record;
}

Shard make_shard(const ShardLimits& limits) {
    std::string error;
    auto region = store::Region::create_anonymous(shard_region_plan(3, limits, false), error);
    EXPECT_TRUE(region.has_value()) << error;
    return Shard(3, std::move(*region), limits, TimeUs{5'000'000});
}

TEST(ShardLimits, AreTheConfigurationsSharedOut) {
    const ShardLimits limits = ShardLimits::of(settings(4, 1001));
    EXPECT_EQ(limits.relays_max, 251u);
    EXPECT_EQ(limits.chunk_bytes_max, 16u << 20);
    EXPECT_EQ(limits.half_open_max, 256u);
    EXPECT_EQ(limits.time_wait_max, 1024u);
}

TEST(ShardLimits, AreNeverTooSmallToWork) {
    DataplaneRecord least = settings(shard_max, 1);
    least.half_open_max = least.time_wait_max = 1;
    least.chunk_bytes_max = shard_max * shard_chunk_bytes_min;
    const ShardLimits limits = ShardLimits::of(least);
    EXPECT_GE(limits.relays_max, 1u);
    EXPECT_GE(limits.half_open_max, tcp::HalfOpenTable::bucket_entries);
    EXPECT_GE(limits.time_wait_max, tcp::TimeWaitTable::bucket_entries);
    EXPECT_TRUE(std::has_single_bit(limits.half_open_max) && std::has_single_bit(limits.time_wait_max));
    Shard shard = make_shard(limits);
    EXPECT_NE(shard.chunks.allocate(store::chunk_payload_max), store::no_chunk);
}

TEST(Shard, HoldsWhatItsLimitsSayAndNoMore) {
    const ShardLimits limits = ShardLimits::of(settings(4, 400));
    Shard shard = make_shard(limits);
    EXPECT_EQ(shard.relays.capacity(), 100u);
    EXPECT_EQ(shard.half_open.capacity(), limits.half_open_max);
    // Every relay has two flows, a place in each queue, and timers.
    for (uint32_t i = 0; i < 100; ++i) {
        const uint32_t index = shard.relays.allocate();
        ASSERT_NE(index, store::no_index);
        EXPECT_TRUE(shard.flows.insert(i * 77777, FlowValue::pack(index, Side::client)));
        EXPECT_TRUE(shard.flows.insert(i * 99999, FlowValue::pack(index, Side::server)));
        EXPECT_TRUE(shard.wheel.schedule(index, 1, 5000 + i * 100));
        shard.ready.push(index);
        shard.parked.push(index);
    }
    EXPECT_EQ(shard.relays.allocate(), store::no_index);
}

TEST(Shard, BeginsEmptyAtItsTime) {
    Shard shard = make_shard(ShardLimits::of(settings(1, 16)));
    EXPECT_EQ(shard.number, 3u);
    EXPECT_EQ(shard.wheel.current_ms(), 5000u);
    EXPECT_EQ(shard.chunks.bytes_in_use() + shard.flows.size() + shard.relays.live_count(), 0u);
}

TEST(Shard, SecretsDifferByPurposeAndShard) {
    const ShardLimits limits = ShardLimits::of(settings(1, 16));
    const Shard one = make_shard(limits), other = make_shard(limits);
    const auto same = [](const SipKey& a, const SipKey& b) { return a.k0 == b.k0 || a.k1 == b.k1; };
    EXPECT_FALSE(same(one.flow_key, other.flow_key));
    EXPECT_FALSE(same(one.secrets.isn, other.secrets.isn));
    EXPECT_FALSE(same(one.flow_key, one.secrets.isn));
    EXPECT_FALSE(same(one.secrets.isn, one.secrets.timestamps));
    EXPECT_FALSE(same(one.secrets.timestamps, one.secrets.tables));
}

TEST(FlowValue, NamesARelayAndItsSide) {
    for (const uint32_t index : {0u, 1u, 0x7fffffffu}) {
        for (const Side side : {Side::client, Side::server}) {
            const uint32_t value = FlowValue::pack(index, side);
            EXPECT_EQ(FlowValue::index(value), index);
            EXPECT_EQ(FlowValue::side(value), side);
        }
    }
}

TEST(Relay, TheFirstCauseOfItsEndCounts) {
    Relay relay{};
    relay.set_end(Closer::balancer, CloseReason::unreachable);
    relay.set_end(Closer::client, CloseReason::fin);
    EXPECT_EQ(relay.closer(), Closer::balancer);
    EXPECT_EQ(relay.reason(), CloseReason::unreachable);
}

}  // namespace
}  // namespace millrace::relay
