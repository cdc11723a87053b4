// Every length that it takes, against OpenSSL. Texts end where a page ends behind which there is nothing.
#include "tls/record/short_gcm.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "evp.h"
#include "guarded_bytes.h"

namespace millrace::tls {
namespace {

class ShortGcmTest : public testing::Test {
  protected:
    /// There and back.
    void agrees(Suite suite, Bytes key, Bytes associated, Bytes text) {
        const Buffer nonce = pattern(12, static_cast<unsigned>(text.size()));
        const auto in = text_.at_end(text.size()), out = out_.at_end(text.size()), tag = tag_.at_end(tag_bytes);
        std::ranges::copy(text, in.begin());
        const auto of_12 = std::span(nonce).first<nonce_bytes>();
        gcm_.run<true>(suite, key.data(), of_12, associated, in, out.data(), tag.data());
        Buffer made(out.begin(), out.end());
        made.insert(made.end(), tag.begin(), tag.end());
        EXPECT_EQ(made, evp_seal(suite, key, nonce, associated, text));

        gcm_.run<false>(suite, key.data(), of_12, associated, out, in.data(), tag.data());
        EXPECT_TRUE(std::ranges::equal(in, text));
        EXPECT_TRUE(std::ranges::equal(tag, Bytes(made).last(tag_bytes)));
        gcm_.run<false>(suite, key.data(), of_12, associated, out, out.data(), tag.data());  // in its place
        EXPECT_TRUE(std::ranges::equal(out, text));
    }

    ShortGcm gcm_;
    test::GuardedBytes text_{ShortGcm::bytes_max}, out_{ShortGcm::bytes_max}, tag_{tag_bytes};
};

TEST_F(ShortGcmTest, EveryLengthAgreesWithOpenSsl) {
    for (const Suite suite : {Suite::aes_128_gcm_sha256, Suite::aes_256_gcm_sha384})
        for (size_t length = ShortGcm::bytes_min; length <= ShortGcm::bytes_max; ++length)
            for (const size_t associated : {0u, 5u, 13u, 16u}) {
                ASSERT_TRUE(ShortGcm::takes(associated, length));
                const Buffer key = pattern(key_bytes(suite), static_cast<unsigned>(3 * length + associated));
                agrees(suite, key, pattern(associated, 11), pattern(length, static_cast<unsigned>(length)));
                ASSERT_FALSE(HasFailure()) << int(suite) << ", " << length << ", " << associated;
            }
}

// The shift of the hash key meets a carry with every second key.
TEST_F(ShortGcmTest, ManyKeysAgreeWithOpenSsl) {
    for (const Suite suite : {Suite::aes_128_gcm_sha256, Suite::aes_256_gcm_sha384})
        for (unsigned seed = 0; seed < 500; ++seed)
            agrees(suite, pattern(key_bytes(suite), seed), pattern(5, seed), pattern(16 + seed % 200, seed));
}

TEST(ShortGcm, LeavesOtherLengthsToOthers) {
    EXPECT_FALSE(ShortGcm::takes(5, 15));
    EXPECT_FALSE(ShortGcm::takes(5, 385));
    EXPECT_FALSE(ShortGcm::takes(17, 100));
}

}  // namespace
}  // namespace millrace::tls
