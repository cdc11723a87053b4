// Every length that it takes, against OpenSSL. Texts end where a page ends behind which there is nothing.
#include "tls/record/short_gcm.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include "evp.h"

namespace millrace::tls {
namespace {

/// Bytes that lie right before a page that may not be touched.
class Fenced {
  public:
    Fenced() : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
        memory_ =
            static_cast<uint8_t*>(mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        EXPECT_NE(memory_, MAP_FAILED);
        EXPECT_EQ(mprotect(memory_ + page_, page_, PROT_NONE), 0);
    }
    ~Fenced() { munmap(memory_, 2 * page_); }
    Fenced(const Fenced&) = delete;
    Fenced& operator=(const Fenced&) = delete;

    std::span<uint8_t> last(size_t length) { return {memory_ + page_ - length, length}; }

  private:
    size_t page_;
    uint8_t* memory_;
};

class ShortGcmTest : public testing::Test {
  protected:
    /// What comes of `text`, checked on the way back.
    Buffer sealed(Suite suite, Bytes key, Bytes associated, Bytes text) {
        const Buffer nonce = pattern(12, static_cast<unsigned>(text.size()));
        const std::span<uint8_t> in = text_.last(text.size()), out = out_.last(text.size()), tag = tag_.last(tag_bytes);
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
        return made;
    }

    ShortGcm gcm_;
    Fenced text_, out_, tag_;
};

TEST_F(ShortGcmTest, EveryLengthAgreesWithOpenSsl) {
    for (const Suite suite : {Suite::aes_128_gcm_sha256, Suite::aes_256_gcm_sha384})
        for (size_t length = ShortGcm::bytes_min; length <= ShortGcm::bytes_max; ++length)
            for (const size_t associated : {0u, 5u, 13u, 16u}) {
                ASSERT_TRUE(ShortGcm::takes(associated, length));
                const Buffer key = pattern(key_bytes(suite), static_cast<unsigned>(3 * length + associated));
                sealed(suite, key, pattern(associated, 11), pattern(length, static_cast<unsigned>(length)));
                ASSERT_FALSE(HasFailure()) << int(suite) << ", " << length << ", " << associated;
            }
}

// The shift of the hash key meets a carry with every second key.
TEST_F(ShortGcmTest, ManyKeysAgreeWithOpenSsl) {
    for (const Suite suite : {Suite::aes_128_gcm_sha256, Suite::aes_256_gcm_sha384})
        for (unsigned seed = 0; seed < 500; ++seed)
            sealed(suite, pattern(key_bytes(suite), seed), pattern(5, seed), pattern(16 + seed % 200, seed));
}

TEST(ShortGcm, LeavesOtherLengthsToOthers) {
    EXPECT_FALSE(ShortGcm::takes(5, 15));
    EXPECT_FALSE(ShortGcm::takes(5, 385));
    EXPECT_FALSE(ShortGcm::takes(17, 100));
}

}  // namespace
}  // namespace millrace::tls
