// The message ring between two processes: order, wrap-around, back pressure, hostile positions and lengths, two
// threads.
#include <array>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include <millrace/message_ring.h>

namespace millrace {
namespace {

struct Ring {
    explicit Ring(size_t bytes = 1024) : data(bytes) {}
    std::vector<std::byte> data;
    RingPosition produced{};
    RingPosition consumed{};
    MessageRingProducer producer() { return {data, &produced, &consumed}; }
    MessageRingConsumer consumer() { return {data, &produced, &consumed}; }
};

std::vector<std::byte> pattern(size_t length, unsigned seed) {
    std::vector<std::byte> bytes(length);
    for (size_t i = 0; i < length; ++i) bytes[i] = static_cast<std::byte>(seed * 31 + i);
    return bytes;
}

TEST(MessageRing, CarriesTypeRequestAndBytes) {
    Ring ring;
    auto producer = ring.producer();
    auto consumer = ring.consumer();
    ASSERT_TRUE(producer.push(7, 99, pattern(13, 1)));
    ASSERT_TRUE(producer.push(8, 100, {}));
    MessageHeader header;
    std::array<std::byte, 64> payload;
    ASSERT_TRUE(consumer.pop(header, payload));
    EXPECT_EQ(header.type, 7);
    EXPECT_EQ(header.request_id, 99u);
    ASSERT_EQ(header.length, 13u);
    EXPECT_TRUE(std::equal(payload.begin(), payload.begin() + 13, pattern(13, 1).begin()));
    ASSERT_TRUE(consumer.pop(header, payload));
    EXPECT_EQ(header.type, 8);
    EXPECT_EQ(header.length, 0u);
    EXPECT_FALSE(consumer.pop(header, payload));
    EXPECT_EQ(consumer.malformed(), 0u);
}

TEST(MessageRing, KeepsEveryMessageOverManyWraps) {
    Ring ring;
    auto producer = ring.producer();
    auto consumer = ring.consumer();
    std::mt19937 random(1);
    std::vector<std::byte> payload(message_payload_max);
    unsigned sent = 0, received = 0;
    while (received < 20'000) {
        for (unsigned n = random() % 4; n > 0; --n) {
            const size_t length = random() % 300;
            const uint32_t room = producer.room();
            const bool pushed = producer.push(1, length, pattern(length, sent));
            ASSERT_EQ(pushed, length <= room && (length != 0 || pushed));
            if (pushed) ++sent;
        }
        MessageHeader header;
        while (random() % 3 != 0 && consumer.pop(header, payload)) {
            ASSERT_EQ(header.length, header.request_id);
            const auto expected = pattern(header.length, received);
            ASSERT_TRUE(std::equal(expected.begin(), expected.end(), payload.begin()));
            ++received;
        }
    }
    EXPECT_EQ(consumer.malformed(), 0u);
}

TEST(MessageRing, RefusesWhenFullAndWhenTooLong) {
    Ring ring(1 << 16);
    auto producer = ring.producer();
    EXPECT_FALSE(producer.push(1, 0, pattern(message_payload_max + 1, 0)));
    EXPECT_TRUE(producer.push(1, 0, pattern(message_payload_max, 0)));

    Ring small(64);
    auto full = small.producer();
    EXPECT_EQ(full.room(), 48u);
    ASSERT_TRUE(full.push(1, 0, pattern(48, 0)));
    EXPECT_EQ(full.room(), 0u);
    EXPECT_FALSE(full.push(1, 0, {}));
}

TEST(MessageRing, ProducerFindsNoRoomUnderAMadConsumer) {
    for (const uint64_t consumed : {uint64_t{1}, uint64_t{5000}, ~uint64_t{0} - 5000, uint64_t{1} << 63}) {
        Ring ring;
        auto producer = ring.producer();
        ring.consumed.value = consumed;
        EXPECT_EQ(producer.room(), 0u) << consumed;
        EXPECT_FALSE(producer.push(1, 0, pattern(8, 0))) << consumed;
        EXPECT_FALSE(producer.push(1, 0, {})) << consumed;
    }
    // An odd position inside the ring costs room, never memory.
    Ring ring;
    auto producer = ring.producer();
    ASSERT_TRUE(producer.push(1, 0, pattern(100, 0)));
    ring.consumed.value = 3;
    while (producer.push(1, 0, pattern(5, 0))) {
    }
    EXPECT_LE(ring.produced.value.load() - 3, ring.data.size());
}

TEST(MessageRing, ConsumerEmptiesAMadRing) {
    std::array<std::byte, 64> payload;
    MessageHeader header;
    for (const uint64_t produced : {uint64_t{1}, uint64_t{15}, uint64_t{1025}, ~uint64_t{0}, uint64_t{1} << 63}) {
        Ring ring;
        auto consumer = ring.consumer();
        ring.produced.value = produced;
        EXPECT_FALSE(consumer.pop(header, payload)) << produced;
        EXPECT_EQ(consumer.malformed(), 1u) << produced;
        EXPECT_EQ(ring.consumed.value.load(), produced);
    }
    for (const uint32_t length : {uint32_t{65}, uint32_t{0x7fffffff}, ~uint32_t{0}, ~uint32_t{0} - 7}) {
        Ring ring;
        auto producer = ring.producer();
        auto consumer = ring.consumer();
        ASSERT_TRUE(producer.push(1, 0, pattern(32, 0)));
        std::memcpy(ring.data.data(), &length, sizeof length);
        EXPECT_FALSE(consumer.pop(header, payload)) << length;
        EXPECT_EQ(consumer.malformed(), 1u) << length;
        ASSERT_TRUE(producer.push(2, 0, {}));
        EXPECT_TRUE(consumer.pop(header, payload)) << "the next sane message arrives";
        EXPECT_EQ(header.type, 2);
    }
    // A length beyond what was produced, though short enough for the buffer.
    Ring ring;
    auto producer = ring.producer();
    auto consumer = ring.consumer();
    ASSERT_TRUE(producer.push(1, 0, pattern(8, 0)));
    const uint32_t length = 40;
    std::memcpy(ring.data.data(), &length, sizeof length);
    EXPECT_FALSE(consumer.pop(header, payload));
    EXPECT_EQ(consumer.malformed(), 1u);
}

TEST(MessageRing, SkipAllJoinsPositionsOfDifferentFiles) {
    Ring ring;
    ring.produced.value = 1 << 20;
    auto producer = ring.producer();
    auto consumer = ring.consumer();
    EXPECT_EQ(producer.room(), 0u);
    consumer.skip_all();
    ASSERT_TRUE(producer.push(5, 0, pattern(4, 0)));
    MessageHeader header;
    std::array<std::byte, 64> payload;
    ASSERT_TRUE(consumer.pop(header, payload));
    EXPECT_EQ(header.type, 5);
    EXPECT_EQ(consumer.malformed(), 0u);
}

TEST(MessageRing, TwoThreadsLoseNothing) {
    Ring ring(4096);
    constexpr unsigned total = 200'000;
    std::thread sender([&] {
        auto producer = ring.producer();
        for (unsigned i = 0; i < total;)
            if (producer.push(static_cast<uint16_t>(i), i, pattern(i % 97, i)))
                ++i;
            else
                std::this_thread::yield();
    });
    auto consumer = ring.consumer();
    std::array<std::byte, 128> payload;
    MessageHeader header;
    unsigned wrong = 0;
    for (unsigned i = 0; i < total;) {
        if (!consumer.pop(header, payload)) {
            std::this_thread::yield();
            continue;
        }
        const auto expected = pattern(i % 97, i);
        if (header.request_id != i || header.length != expected.size() ||
            !std::equal(expected.begin(), expected.end(), payload.begin()))
            ++wrong;
        ++i;
    }
    sender.join();
    EXPECT_EQ(wrong, 0u);
    EXPECT_EQ(consumer.malformed(), 0u);
}

}  // namespace
}  // namespace millrace
