#include "load/tables.h"

#include <gtest/gtest.h>

namespace millrace::load {
namespace {

IpAddress address(uint32_t number) {
    return IpAddress::v4(198, 18, static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number));
}

TEST(Tables, AnIdleConnectionCostsAtMost160Bytes) {
    constexpr uint32_t count = 150'000;
    Tables tables({.clients = count, .servers = 1, .chunk_bytes = 1 << 20}, 1, 0);
    for (uint32_t i = 0; i < count; ++i) {
        const uint32_t index = tables.clients.allocate();
        ASSERT_NE(index, store::no_index);
        const Ref ref = Ref::of(Role::client, index);
        const auto port = static_cast<uint16_t>(i % 50'000);
        ASSERT_TRUE(tables.flows.insert(tables.flow_hash(address(0), address(i / 50'000), 80, port), ref.value));
        tables.ready_most = i + 1;
        // Below some thousands the first buckets of the flow table count for more.
        if (i > 5'000) {
            ASSERT_LE(tables.connection_bytes(), uint64_t{i + 1} * 160) << i;
        }
    }
}

TEST(Tables, OnlyWithTlsAClientHasKeys) {
    Tables plain({.clients = 10, .servers = 10, .chunk_bytes = 1 << 20}, 1, 0);
    Tables tls({.clients = 10, .servers = 10, .chunk_bytes = 1 << 20, .tls = true}, 1, 0);
    EXPECT_TRUE(plain.tls_ends.empty());
    EXPECT_EQ(tls.tls_ends.size(), tls.clients.capacity());
    for (Tables* tables : {&plain, &tls})
        for (const Role role : {Role::client, Role::server}) tables->pool(role).allocate();
    EXPECT_EQ(tls.connection_bytes() - plain.connection_bytes(), sizeof(TlsEnd));
}

TEST(Tables, ARefNamesItsConnectionInEitherPool) {
    Tables tables({.clients = 10, .servers = 10, .chunk_bytes = 1 << 20}, 1, 0);
    for (const Role role : {Role::client, Role::server}) {
        const Ref ref = Ref::of(role, tables.pool(role).allocate());
        EXPECT_EQ(ref.role(), role);
        EXPECT_EQ(&tables.at(ref), &tables.pool(role).at(ref.index()));
    }
}

}  // namespace
}  // namespace millrace::load
