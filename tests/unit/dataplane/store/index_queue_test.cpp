#include "dataplane/store/index_queue.h"

#include <deque>
#include <gtest/gtest.h>
#include <random>

namespace millrace::store {
namespace {

TEST(IndexQueue, FirstInFirstOut) {
    IndexQueue queue(4);
    EXPECT_TRUE(queue.empty());
    for (uint32_t index : {7u, 0u, 9u}) queue.push(index);
    EXPECT_EQ(queue.size(), 3u);
    EXPECT_EQ(queue.peek(0), 7u);
    EXPECT_EQ(queue.peek(2), 9u);
    for (uint32_t index : {7u, 0u, 9u}) EXPECT_EQ(queue.pop(), index);
    EXPECT_TRUE(queue.empty());
}

TEST(IndexQueue, GoesRoundAtItsCapacity) {
    IndexQueue queue(5);
    std::deque<uint32_t> model;
    std::mt19937 random(1);
    for (uint32_t i = 0; i < 10'000; ++i) {
        if (model.size() < 5 && (model.empty() || random() % 2 == 0)) {
            queue.push(i);
            model.push_back(i);
        } else {
            ASSERT_EQ(queue.pop(), model.front());
            model.pop_front();
        }
        ASSERT_EQ(queue.size(), model.size());
        for (uint32_t ahead = 0; ahead < model.size(); ++ahead) ASSERT_EQ(queue.peek(ahead), model[ahead]);
    }
}

TEST(IndexQueue, MovesWithItsContent) {
    IndexQueue queue(3);
    queue.push(5);
    IndexQueue moved = std::move(queue);
    EXPECT_EQ(moved.pop(), 5u);
}

TEST(IndexQueueDeathTest, OverflowAndEmptyPopAreMistakes) {
    IndexQueue queue(1);
    EXPECT_DEATH(queue.pop(), "assertion");
    queue.push(1);
    EXPECT_DEATH(queue.push(2), "assertion");
}

}  // namespace
}  // namespace millrace::store
