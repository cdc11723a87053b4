#include "dataplane/store/chunk_store.h"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "test_support.h"

namespace millrace::store {
namespace {

constexpr size_t slab = ChunkStore::slab_bytes;

TEST(ChunkStore, GivesTheSmallestClassThatFits) {
    TestMemory memory(32 * slab);
    ChunkStore store = ChunkStore::format(memory.span());
    for (uint32_t payload = 1; payload <= chunk_payload_max; ++payload) {
        const ChunkId id = store.allocate(payload);
        ASSERT_NE(id, no_chunk);
        const uint32_t capacity = static_cast<uint32_t>(store.capacity(id).size());
        ASSERT_GE(capacity, payload);
        const uint8_t size_class = store.header(id).size_class;
        const uint32_t smaller = size_class > 0 ? chunk_class_bytes[size_class - 1] : 0;
        ASSERT_LT(smaller, payload + sizeof(ChunkHeader));
        ASSERT_EQ(store.header(id).length, 0u);
        ASSERT_EQ(store.header(id).next, 0u);
        store.free(id);
    }
    EXPECT_EQ(store.bytes_in_use(), 0u);
}

TEST(ChunkStore, ThreadsNothingThroughUntouchedMemory) {
    TestMemory memory(slab * 4096);
    ChunkStore store = ChunkStore::format(memory.span());
    EXPECT_NE(store.allocate(1), no_chunk);
    std::vector<unsigned char> resident(memory.span().size() / 4096);
    ASSERT_EQ(mincore(memory.span().data(), memory.span().size(), resident.data()), 0);
    EXPECT_LE(std::count(resident.begin(), resident.end(), 1), 4) << "directory, its entry, one page of the slab";
}

TEST(ChunkStore, FullArenaIsCountedAndReusable) {
    TestMemory memory(3 * slab);
    ChunkStore store = ChunkStore::format(memory.span());
    std::set<ChunkId> ids;
    for (ChunkId id; (id = store.allocate(100)) != no_chunk;) ASSERT_TRUE(ids.insert(id).second);
    EXPECT_EQ(ids.size(), 2 * 512u);
    EXPECT_EQ(store.exhausted_total(), 1u);
    EXPECT_EQ(store.bytes_in_use(), 2 * slab);
    EXPECT_EQ(store.bytes_of_slabs(), 3 * slab);
    for (ChunkId id : ids) store.free(id);
    for (int i = 0; i < 3; ++i)
        EXPECT_NE(store.allocate(chunk_payload_max), no_chunk) << "a freed slab suits any class";
    EXPECT_NE(store.allocate(1), no_chunk) << "the class's last slab stayed with it";
    EXPECT_EQ(store.allocate(1000), no_chunk);
}

// One chunk allocated and freed at the edge of a slab must not cut and uncut a slab each time.
TEST(ChunkStore, EmptySlabsThatClassesKeepServeTheOthersAtLast) {
    TestMemory memory(3 * slab);
    ChunkStore store = ChunkStore::format(memory.span());
    for (uint32_t payload : {100u, 200u}) store.free(store.allocate(payload));
    for (uint32_t payload : {400u, 900u, 1400u}) {
        const ChunkId id = store.allocate(payload);
        ASSERT_NE(id, no_chunk) << payload;
        store.free(id);
    }
    const ChunkId held = store.allocate(100);
    ASSERT_NE(held, no_chunk);
    EXPECT_NE(store.allocate(200), no_chunk);
    EXPECT_EQ(store.allocate(400), no_chunk) << "both slabs are in use now";
}

TEST(ChunkStore, DoesNotThrashAtASlabsEdge) {
    TestMemory memory(16 * slab);
    ChunkStore store = ChunkStore::format(memory.span());
    for (int i = 0; i < 512; ++i) store.allocate(1);
    store.free(store.allocate(1));
    const uint64_t before = store.bytes_of_slabs();
    const ChunkId big = store.allocate(8000);  // takes a slab from the pool if the edge's had gone there
    for (int i = 0; i < 100; ++i) store.free(store.allocate(1));
    EXPECT_EQ(store.bytes_of_slabs(), before + slab);
    store.free(big);
}

TEST(ChunkStore, DirectoryGrowsWithTheArena) {
    // 32 GiB of address space: 524,288 slabs, a directory of 8 MiB in 129 slabs.
    TestMemory memory(uint64_t{32} << 30);
    ChunkStore store = ChunkStore::format(memory.span());
    const ChunkId id = store.allocate(1);
    EXPECT_EQ(id, 129u * 512);
    store.free(id);
}

TEST(ChunkStoreDeathTest, RefusesWhatIsNoLiveChunk) {
    TestMemory memory(8 * slab);
    ChunkStore store = ChunkStore::format(memory.span());
    const ChunkId id = store.allocate(1000);
    const ChunkId other = store.allocate(1000);
    store.free(id);
    EXPECT_DEATH(store.free(id), "double_free");
    EXPECT_DEATH(store.free(no_chunk), "assert|slab_number");
    EXPECT_DEATH(store.free(0xffff'ffff), "slab_number");
    store.free(other);
    EXPECT_DEATH(store.free(other), "double_free");
    EXPECT_DEATH(store.allocate(0), "payload_bytes");
    EXPECT_DEATH(store.allocate(chunk_payload_max + 1), "payload_bytes");
}

TEST(ChunkStore, CountsWhatIsLeft) {
    for (const uint32_t bytes : {100u, 1000u, 1500u, 16384u}) {
        TestMemory memory(64 * slab);
        ChunkStore store = ChunkStore::format(memory.span());
        EXPECT_EQ(store.bytes_total(), 63 * slab);
        EXPECT_EQ(store.bytes_free(), 63 * slab);
        std::vector<ChunkId> ids;
        while (const ChunkId id = store.allocate(bytes)) ids.push_back(id);
        EXPECT_LT(store.bytes_free(), slab / 8) << bytes;
        store.free(ids.back());
        ids.pop_back();
        const uint64_t one = store.bytes_free();
        EXPECT_GE(one, bytes);
        store = *ChunkStore::join(memory.span());
        store.begin_recovery();
        for (const ChunkId id : ids) EXPECT_TRUE(store.mark_live(id));
        store.end_recovery();
        EXPECT_EQ(store.bytes_free(), one);
        for (const ChunkId id : ids) store.free(id);
        EXPECT_EQ(store.bytes_free(), 63 * slab);
    }
}

TEST(ChunkStore, TakesALargerChunkWhereNoSlabIsLeft) {
    TestMemory memory(64 * slab);
    ChunkStore store = ChunkStore::format(memory.span());
    std::vector<ChunkId> ids;
    while (const ChunkId id = store.allocate(1500)) ids.push_back(id);
    store.free(ids[7]);
    const ChunkId id = store.allocate(100);
    EXPECT_EQ(id, ids[7]);
    EXPECT_EQ(store.capacity(id).size(), 1520u);
    EXPECT_EQ(store.allocate(100), no_chunk);
}

// Live chunks with the bytes that were written into them; a chunk that overlaps another is found by its bytes.
class Model {
  public:
    explicit Model(uint32_t seed) : random_(seed) {}

    void step(ChunkStore& store) {
        if (random_() % 100 < 52 || live_.empty()) {
            const uint32_t payload = random_() % 8 == 0 ? 1 + random_() % chunk_payload_max : 1 + random_() % 1500;
            const ChunkId id = store.allocate(payload);
            if (id == no_chunk) return;
            const uint8_t fill = static_cast<uint8_t>(random_());
            std::memset(store.capacity(id).data(), fill, store.capacity(id).size());
            store.header(id).length = static_cast<uint16_t>(payload);
            store.header(id).seq = id ^ payload;
            ASSERT_TRUE(live_.emplace(id, std::pair(payload, fill)).second);
        } else {
            auto victim = std::next(live_.begin(), random_() % std::min<size_t>(live_.size(), 50));
            check(store, *victim);
            store.free(victim->first);
            live_.erase(victim);
        }
    }

    void check(const ChunkStore& store) {
        uint64_t bytes = 0;
        for (const auto& chunk : live_) {
            check(store, chunk);
            bytes += chunk_class_bytes[store.header(chunk.first).size_class];
        }
        ASSERT_EQ(store.bytes_in_use(), bytes);
    }

    void recover(ChunkStore& store) {
        store.begin_recovery();
        for (const auto& [id, unused] : live_) ASSERT_TRUE(store.mark_live(id));
        for (const auto& [id, unused] : live_) ASSERT_FALSE(store.mark_live(id)) << "declared twice";
        store.end_recovery();
    }

    void free_all(ChunkStore& store) {
        for (const auto& [id, unused] : live_) store.free(id);
        live_.clear();
    }

  private:
    using Chunk = std::pair<const ChunkId, std::pair<uint32_t, uint8_t>>;

    static void check(const ChunkStore& store, const Chunk& chunk) {
        const auto& [id, content] = chunk;
        ASSERT_EQ(store.header(id).seq, id ^ content.first);
        for (uint8_t byte : store.payload(id)) ASSERT_EQ(byte, content.second);
    }

    Random32 random_;
    std::map<ChunkId, std::pair<uint32_t, uint8_t>> live_;
};

TEST(ChunkStore, AgreesWithAModelAcrossRestarts) {
    for (uint32_t seed = 1; seed <= 12; ++seed) {
        SCOPED_TRACE(testing::Message() << "seed " << seed);
        TestMemory memory(48 * slab);
        ChunkStore store = ChunkStore::format(memory.span());
        Model model(seed);
        for (int step = 0; step < 6000; ++step) {
            model.step(store);
            if (HasFatalFailure()) return;
            if (step % 1500 != 1499) continue;
            store = *ChunkStore::join(memory.span());
            if (step > 4000) store.begin_recovery();  // one that a crash cut short
            model.recover(store);
            model.check(store);
            if (HasFatalFailure()) return;
        }
        model.free_all(store);
        EXPECT_EQ(store.bytes_in_use(), 0u);
    }
}

// After recovery exactly as much can be allocated as before the crash.
TEST(ChunkStore, RecoveryFindsTheSameUsableChunks) {
    TestMemory memory(40 * slab);
    const auto count_usable = [](ChunkStore& store, uint32_t payload) {
        std::vector<ChunkId> taken;
        for (ChunkId id; (id = store.allocate(payload)) != no_chunk;) taken.push_back(id);
        for (ChunkId id : taken) store.free(id);
        return taken.size();
    };
    ChunkStore store = ChunkStore::format(memory.span());
    Random32 random(9);
    std::vector<ChunkId> live;
    for (int i = 0; i < 400; ++i) live.push_back(store.allocate(1 + random() % 3000));
    std::shuffle(live.begin(), live.end(), random);
    for (int i = 0; i < 200; ++i, live.pop_back()) store.free(live.back());
    std::vector<size_t> before, after;
    const uint64_t bytes = store.bytes_in_use();
    for (uint32_t class_bytes : chunk_class_bytes) before.push_back(count_usable(store, class_bytes - 16));
    ChunkStore recovered = *ChunkStore::join(memory.span());
    recovered.begin_recovery();
    for (ChunkId id : live) ASSERT_TRUE(recovered.mark_live(id));
    recovered.end_recovery();
    EXPECT_EQ(recovered.bytes_in_use(), bytes);
    // `before` was counted with at most one empty slab kept by each class; recovery keeps none, so it may only gain.
    for (uint32_t class_bytes : chunk_class_bytes) after.push_back(count_usable(recovered, class_bytes - 16));
    for (size_t i = 0; i < before.size(); ++i) EXPECT_GE(after[i], before[i]) << "class " << i;
}

TEST(ChunkStore, RecoveryRefusesIdsThatNameNoChunk) {
    TestMemory memory(8 * slab);
    ChunkStore store = ChunkStore::format(memory.span());
    const ChunkId id = store.allocate(200);  // 256 B: two units
    store.header(id).length = 200;
    store = *ChunkStore::join(memory.span());
    store.begin_recovery();
    for (ChunkId wrong : {no_chunk, ChunkId{1}, id + 1, id + 2, id + 512, ChunkId{8 * 512}, ChunkId{0xffff'ffff}})
        EXPECT_FALSE(store.mark_live(wrong)) << wrong;
    store.header(id).length = 5000;
    EXPECT_FALSE(store.mark_live(id));
    store.header(id).length = 240;
    EXPECT_TRUE(store.mark_live(id));
    store.end_recovery();
    store.free(id);
}

// Payload that looks like a chunk's header is none.
TEST(ChunkStore, RecoveryRefusesForgedHeaders) {
    TestMemory memory(8 * slab);
    ChunkStore store = ChunkStore::format(memory.span());
    const ChunkId id = store.allocate(200);
    const ChunkId freed = store.allocate(200);
    store.free(freed);
    const ChunkHeader free_header = store.header(freed);
    ASSERT_EQ(freed, id + 2);
    store.header(id + 1) = free_header;     // inside the chunk
    store.header(freed + 2) = free_header;  // where the next one will be
    store.header(id + 512) = free_header;   // in a slab that was never cut
    store = *ChunkStore::join(memory.span());
    store.begin_recovery();
    EXPECT_FALSE(store.mark_live(id + 1));
    EXPECT_FALSE(store.mark_live(freed + 2));
    EXPECT_FALSE(store.mark_live(id + 512));
    EXPECT_TRUE(store.mark_live(id));
    store.end_recovery();
}

TEST(ChunkStore, JoinRefusesAnotherArenasDirectory) {
    TestMemory memory(8 * slab);
    EXPECT_FALSE(ChunkStore::join(memory.span())) << "never formatted";
    ChunkStore::format(memory.span());
    EXPECT_TRUE(ChunkStore::join(memory.span()));
    EXPECT_FALSE(ChunkStore::join(memory.span().first(7 * slab)));
    const uint32_t beyond = 9;
    std::memcpy(memory.span().data() + 4, &beyond, sizeof(beyond));
    EXPECT_FALSE(ChunkStore::join(memory.span()));
}

}  // namespace
}  // namespace millrace::store
