#include "tls/record/post_handshake.h"

#include <gtest/gtest.h>

#include "ends.h"

namespace millrace::tls {
namespace {

using Kind = Verdict::Kind;

/// A receiver that is the server, or with `client` the other end of a connection to one.
struct Dialogue : Ends {
    explicit Dialogue(Version version = Version::tls13, bool client = false)
        : Ends(version, Suite::aes_128_gcm_sha256) {
        if (client) receiver.flags |= client_role;
        const Buffer secret = pattern(hash_bytes(sender.suite), 5);
        for (auto* place : {&sender.write_secret, &receiver.read_secret}) std::ranges::copy(secret, place->begin());
        set_traffic_keys(crypto, sender.suite, secret, sender.write);
        receiver.read = sender.write;
    }
    Verdict give(const Buffer& content, ContentType type = ContentType::handshake) {
        return judge(crypto, receiver, type, content);
    }
    Verdict alert(uint8_t level, uint8_t number) { return give({level, number}, ContentType::alert); }
};

TEST(PostHandshake, CloseNotifyCloses) {
    for (const Version version : {Version::tls12, Version::tls13})
        EXPECT_EQ(Dialogue(version).alert(alert_level_warning, 0).kind, Kind::closed);
}

// RFC 8446 §6: whatever level an error alert claims.
TEST(PostHandshake, ErrorAlertsEnd) {
    EXPECT_EQ(Dialogue().alert(alert_level_warning, 20).kind, Kind::ended);
    EXPECT_EQ(Dialogue().alert(alert_level_fatal, 255).kind, Kind::ended);
    EXPECT_EQ(Dialogue(Version::tls12).alert(alert_level_fatal, 20).kind, Kind::ended);
}

TEST(PostHandshake, WarningsAreLetPass) {
    EXPECT_EQ(Dialogue().alert(alert_level_warning, 90).kind, Kind::carry_on) << "user_canceled";
    EXPECT_EQ(Dialogue(Version::tls12).alert(alert_level_warning, 100).kind, Kind::carry_on) << "no_renegotiation";
}

TEST(PostHandshake, AlertsHaveTwoBytes) {
    for (const size_t length : {1u, 3u, 4u}) {
        const Verdict verdict = Dialogue().give(Buffer(length, 1), ContentType::alert);
        EXPECT_EQ(verdict.kind, Kind::failed);
        EXPECT_EQ(verdict.alert, Alert::decode_error);
    }
}

// RFC 8446 §4.6.3, both ways in the middle of a stream.
TEST(PostHandshake, KeyUpdateChangesTheKeysOfOneDirection) {
    Dialogue d;
    EXPECT_TRUE(d.open(d.seal(pattern(10))).valid);
    const Buffer keys(d.sender.write.key.begin(), d.sender.write.key.end());
    Buffer record(control_record_bytes_max);
    record.resize(seal_key_update(d.crypto, d.sender, record.data()));
    const Opened opened = d.open(record);
    ASSERT_TRUE(opened.valid);
    ASSERT_EQ(opened.type, ContentType::handshake);
    EXPECT_EQ(d.give(d.payload).kind, Kind::carry_on);
    EXPECT_NE(Buffer(d.sender.write.key.begin(), d.sender.write.key.end()), keys);
    EXPECT_EQ(d.sender.write.sequence, 0u);
    EXPECT_EQ(d.receiver.flags & key_update_owed, 0) << "none was asked for";
    EXPECT_TRUE(d.open(d.seal(pattern(10, 2))).valid);
    EXPECT_EQ(d.payload, pattern(10, 2));
}

TEST(PostHandshake, RequestedKeyUpdateIsOwedUntilSent) {
    Dialogue d;
    EXPECT_EQ(d.give({24, 0, 0, 1, 1}).kind, Kind::carry_on);
    EXPECT_NE(d.receiver.flags & key_update_owed, 0);
    d.receiver.write = d.sender.write;
    d.receiver.write_secret = d.sender.write_secret;
    Buffer record(control_record_bytes_max);
    EXPECT_EQ(seal_key_update(d.crypto, d.receiver, record.data()),
              5u + overhead_bytes(Version::tls13, d.sender.suite));
    EXPECT_EQ(d.receiver.flags & key_update_owed, 0);
}

TEST(PostHandshake, KeyUpdateMayBeCutAnywhere) {
    const Buffer message{24, 0, 0, 1, 1};
    for (size_t cut = 1; cut < message.size(); ++cut) {
        Dialogue d;
        EXPECT_EQ(d.give({message.begin(), message.begin() + static_cast<ptrdiff_t>(cut)}).kind, Kind::carry_on);
        EXPECT_EQ(d.receiver.flags & key_update_owed, 0);
        EXPECT_EQ(d.give({message.begin() + static_cast<ptrdiff_t>(cut), message.end()}).kind, Kind::carry_on);
        EXPECT_NE(d.receiver.flags & key_update_owed, 0) << cut;
        EXPECT_EQ(d.give({24, 0, 0, 1, 0}).kind, Kind::carry_on);
    }
}

TEST(PostHandshake, BadKeyUpdates) {
    const std::pair<Buffer, Alert> cases[] = {
        {{24, 0, 0, 1, 2}, Alert::illegal_parameter},
        {{24, 0, 0, 0}, Alert::decode_error},
        {{24, 0, 0, 2, 0, 0}, Alert::decode_error},
        {{24, 0, 0, 1, 0, 24}, Alert::unexpected_message},
    };
    for (const auto& [message, alert] : cases) {
        Dialogue d;
        const Direction before = d.receiver.read;
        const Verdict verdict = d.give(message);
        EXPECT_EQ(verdict.kind, Kind::failed);
        EXPECT_EQ(verdict.alert, alert);
        EXPECT_EQ(d.receiver.read.key, before.key);
    }
    EXPECT_EQ(Dialogue(Version::tls12).give({24, 0, 0, 1, 0}).alert, Alert::unexpected_message) << "not in TLS 1.2";
}

// RFC 8446 §4.6.1: a server may send tickets at any time, a client none.
TEST(PostHandshake, TicketsAreSkippedHoweverTheyAreCut) {
    Buffer stream;
    for (const uint8_t length : {uint8_t{0}, uint8_t{5}, uint8_t{200}}) {
        const Buffer header{4, 0, 0, length};
        stream.insert(stream.end(), header.begin(), header.end());
        stream.resize(stream.size() + length, 24);
    }
    for (size_t cut = 1; cut < stream.size(); ++cut) {
        Dialogue d(Version::tls13, true);
        ASSERT_EQ(d.give({stream.begin(), stream.begin() + static_cast<ptrdiff_t>(cut)}).kind, Kind::carry_on);
        ASSERT_EQ(d.give({stream.begin() + static_cast<ptrdiff_t>(cut), stream.end()}).kind, Kind::carry_on);
        ASSERT_EQ(d.give({24, 0, 0, 1, 1}).kind, Kind::carry_on);
        ASSERT_NE(d.receiver.flags & key_update_owed, 0) << cut;
    }
    EXPECT_EQ(Dialogue().give({4, 0, 0, 0}).alert, Alert::unexpected_message);
}

// RFC 8446 §5.1: nothing may stand between the records of one handshake message.
TEST(PostHandshake, NothingInterruptsAMessage) {
    for (const Buffer& begun : {Buffer{4, 0}, Buffer{4, 0, 0, 5, 1}}) {
        for (const ContentType type : {ContentType::application_data, ContentType::alert}) {
            Dialogue d(Version::tls13, true);
            EXPECT_EQ(d.give(begun).kind, Kind::carry_on);
            EXPECT_EQ(d.give({1, 0}, type).alert, Alert::unexpected_message);
        }
    }
}

TEST(PostHandshake, RenegotiationIsRefused) {
    Dialogue server(Version::tls12), client(Version::tls12, true);
    Buffer hello{1, 0, 0, 50};
    hello.resize(54);
    for (const Verdict verdict : {server.give(hello), client.give({0, 0, 0, 0})}) {
        EXPECT_EQ(verdict.kind, Kind::warn);
        EXPECT_EQ(verdict.alert, Alert::no_renegotiation);
    }
    EXPECT_EQ(Dialogue().give(hello).alert, Alert::unexpected_message) << "TLS 1.3 has none";
}

// Empty records, key updates and warnings without end would cost us time and the peer next to nothing.
TEST(PostHandshake, FruitlessRecordsHaveAnEnd) {
    const std::pair<Buffer, ContentType> kinds[] = {
        {{}, ContentType::application_data}, {{24, 0, 0, 1, 0}, ContentType::handshake}, {{1, 90}, ContentType::alert}};
    for (const auto& [payload, type] : kinds) {
        Dialogue d;
        for (int i = 0; i < fruitless_records_max; ++i) ASSERT_EQ(d.give(payload, type).kind, Kind::carry_on);
        ASSERT_EQ(d.give({'x'}, ContentType::application_data).kind, Kind::carry_on);
        for (int i = 0; i < fruitless_records_max; ++i) ASSERT_EQ(d.give(payload, type).kind, Kind::carry_on);
        EXPECT_EQ(d.give(payload, type).kind, Kind::failed);
    }
}

TEST(PostHandshake, AlertsAreSealedWithTheirLevel) {
    Dialogue d;
    for (const auto& [alert, level] : {std::pair{Alert::close_notify, 1}, {Alert::bad_record_mac, 2}}) {
        Buffer record(control_record_bytes_max);
        record.resize(seal_alert(d.crypto, d.sender, alert, record.data()));
        EXPECT_EQ(d.open(record).type, ContentType::alert);
        EXPECT_EQ(d.payload, (Buffer{static_cast<uint8_t>(level), static_cast<uint8_t>(alert)}));
    }
    EXPECT_NE(d.sender.flags & close_notify_sent, 0);
}

}  // namespace
}  // namespace millrace::tls
