// RFC 9293 §3.4: arithmetic and comparison modulo 2^32.
#include "dataplane/tcp/seq.h"

#include <gtest/gtest.h>

namespace millrace::tcp {
namespace {

TEST(Seq, OrdersAcrossTheWrap) {
    const Seq before{0xfffffff0}, after{0x10};
    EXPECT_TRUE(before < after);
    EXPECT_TRUE(after > before);
    EXPECT_FALSE(after <= before);
    EXPECT_TRUE(before <= before && before >= before);
    EXPECT_EQ(after - before, 0x20u);
    EXPECT_EQ(before + 0x20, after);
    EXPECT_EQ(after - 0x20, before);
}

TEST(Seq, OrdersWithinAWindow) {
    EXPECT_TRUE(Seq{5} < Seq{6});
    EXPECT_TRUE(Seq{5} < Seq{5u + 0x7fffffff});
    EXPECT_FALSE(Seq{5} < Seq{5});
    EXPECT_EQ(max(Seq{0xffffffff}, Seq{0}), Seq{0});
    EXPECT_EQ(min(Seq{0xffffffff}, Seq{0}), Seq{0xffffffff});
}

}  // namespace
}  // namespace millrace::tcp
