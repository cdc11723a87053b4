// RFC 8448 §3's traces, and OpenSSL's derivation for the rest.
#include "tls/record/key_schedule.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "evp.h"

namespace millrace::tls {
namespace {

TEST(KeySchedule, Rfc8448ApplicationTrafficKeys) {
    Crypto crypto;
    Direction server{}, client{};
    server.sequence = 5;
    set_traffic_keys(crypto, Suite::aes_128_gcm_sha256,
                     hex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"), server);
    set_traffic_keys(crypto, Suite::aes_128_gcm_sha256,
                     hex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"), client);
    EXPECT_EQ(Buffer(server.key.begin(), server.key.begin() + 16), hex("9f02283b6c9c07efc26bb9f2ac92e356"));
    EXPECT_EQ(Buffer(server.iv.begin(), server.iv.end()), hex("cf782b88dd83549aadf1e984"));
    EXPECT_EQ(server.sequence, 0u);
    EXPECT_EQ(Buffer(client.key.begin(), client.key.begin() + 16), hex("17422dda596ed5d9acd890e3c63f5051"));
    EXPECT_EQ(Buffer(client.iv.begin(), client.iv.end()), hex("5b78923dee08579033e523d9"));
}

TEST(KeySchedule, UpdatesAgreeWithOpenSsl) {
    Crypto crypto;
    for (const Suite suite : suites) {
        Buffer expected = pattern(hash_bytes(suite), 3);
        std::array<uint8_t, hash_bytes_max> secret{};
        std::ranges::copy(expected, secret.begin());
        Direction direction{};
        for (int round = 0; round < 3; ++round) {
            direction.sequence = 1000;
            update_traffic_keys(crypto, suite, secret, direction);
            expected = evp_expand_label(suite, expected, "traffic upd", hash_bytes(suite));
            EXPECT_TRUE(std::ranges::equal(expected, std::span(secret).first(expected.size())));
            const Buffer key = evp_expand_label(suite, expected, "key", key_bytes(suite));
            EXPECT_TRUE(std::ranges::equal(key, std::span(direction.key).first(key.size())));
            EXPECT_TRUE(std::ranges::equal(evp_expand_label(suite, expected, "iv", nonce_bytes), direction.iv));
            EXPECT_EQ(direction.sequence, 0u) << "RFC 8446 §5.3: each key begins at 0";
        }
    }
}

TEST(KeySchedule, WipedSlotsHoldNothing) {
    Slot slot;
    std::fill_n(reinterpret_cast<uint8_t*>(&slot), sizeof slot, uint8_t{0xa5});
    wipe(slot);
    EXPECT_TRUE(std::all_of(reinterpret_cast<uint8_t*>(&slot), reinterpret_cast<uint8_t*>(&slot + 1),
                            [](uint8_t byte) { return byte == 0; }));
}

}  // namespace
}  // namespace millrace::tls
