#include "tls/handshake/certificate.h"

#include <ctime>
#include <gtest/gtest.h>

#include "pki.h"

namespace millrace::tls {
namespace {

TEST(Certificate, TellsWhatItIs) {
    std::string error;
    const auto info = read_certificate(identity(KeyKind::ecdsa, "Ticker.test").chain_pem, error);
    ASSERT_TRUE(info.has_value()) << error;
    EXPECT_EQ(info->names, std::vector<std::string>{"ticker.test"});
    EXPECT_EQ(info->subject, "CN=Ticker.test");
    EXPECT_EQ(info->issuer, "CN=test authority");
    EXPECT_EQ(info->key, "EC P-256");
    EXPECT_EQ(info->sha256.size(), 64u);
    EXPECT_NEAR(static_cast<double>(info->not_after - std::time(nullptr)), 86'400, 600);
    EXPECT_NEAR(static_cast<double>(std::time(nullptr) - info->not_before), 3600, 600);
    EXPECT_EQ(read_certificate(identity(KeyKind::rsa).chain_pem, error)->key, "RSA 2048");
}

TEST(Certificate, WithoutAlternativeNamesTheCommonNameCounts) {
    std::string error;
    const auto info = read_certificate(authority_pem(), error);
    ASSERT_TRUE(info.has_value()) << error;
    EXPECT_EQ(info->names, std::vector<std::string>{"test authority"});
}

TEST(Certificate, WhatIsNone) {
    std::string error;
    EXPECT_FALSE(read_certificate("no text of such", error).has_value());
    EXPECT_EQ(error, "no start line");
}

}  // namespace
}  // namespace millrace::tls
