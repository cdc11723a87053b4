// Against the RFC's example and OpenSSL's whole-message interface.
#include "dataplane/http/accept_key.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <string>

namespace millrace::http {
namespace {

TEST(AcceptKey, GivesTheExampleOfTheRfc) {
    EXPECT_EQ(as_text(accept_key("dGhlIHNhbXBsZSBub25jZQ==")), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(AcceptKey, AgreesWithOpenssl) {
    for (unsigned i = 0; i < 200; ++i) {
        const std::string key(i, static_cast<char>('A' + i % 26));
        const std::string message = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
        uint8_t digest[20], expected[32];
        unsigned digest_length = 0;
        ASSERT_EQ(EVP_Digest(message.data(), message.size(), digest, &digest_length, EVP_sha1(), nullptr), 1);
        ASSERT_EQ(EVP_EncodeBlock(expected, digest, 20), 28);
        EXPECT_EQ(as_text(accept_key(key)), std::string_view(reinterpret_cast<char*>(expected), 28));
    }
}

}  // namespace
}  // namespace millrace::http
