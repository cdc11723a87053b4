// What a peer may send to harm: each is refused with the alert that the RFC names, and leaves the slot as it was.
#include <cstring>
#include <gtest/gtest.h>

#include "ends.h"

namespace millrace::tls {
namespace {

struct Hostile : Ends {
    explicit Hostile(Version version = Version::tls13) : Ends(version, Suite::aes_128_gcm_sha256) {}

    /// The alert of a record that must be refused, by its header or by its content.
    Alert refusal(Bytes record) {
        const Slot before = receiver;
        const auto header = record.first<record_header_bytes>();
        const RecordHeader read = read_header(receiver, header);
        if (!read.valid) return read.alert;
        const Opened opened = open(record);
        EXPECT_FALSE(opened.valid);
        EXPECT_EQ(std::memcmp(&before, &receiver, sizeof before), 0);
        return opened.alert;
    }
    static Buffer header(uint8_t type, size_t length) {
        return {type, 3, 3, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length)};
    }
};

// RFC 8446 §5.2, RFC 5246 §6.2.3: nothing is waited for that is too long.
TEST(HostileRecord, TooLong) {
    EXPECT_EQ(Hostile().refusal(Hostile::header(23, payload_bytes_max + 257)), Alert::record_overflow);
    EXPECT_EQ(Hostile(Version::tls12).refusal(Hostile::header(23, payload_bytes_max + 2049)), Alert::record_overflow);
    Hostile hostile;
    EXPECT_TRUE(read_header(hostile.receiver, Bytes(Hostile::header(23, payload_bytes_max + 256)).first<5>()).valid);
}

// RFC 8446 §5.4: also when it only shows once it is open.
TEST(HostileRecord, TooLongInside) {
    Hostile hostile;
    Buffer inner(payload_bytes_max + 1, 'x');
    inner.push_back(23);
    EXPECT_EQ(hostile.refusal(hostile.seal_inner(inner)), Alert::record_overflow);
}

// RFC 6066 §4: the agreed length holds for either side.
TEST(HostileRecord, LongerThanAgreed) {
    Hostile hostile;
    hostile.receiver.payload_max = 512;
    EXPECT_EQ(hostile.refusal(Hostile::header(23, 512 + 257)), Alert::record_overflow);
    EXPECT_EQ(hostile.refusal(hostile.seal(pattern(513))), Alert::record_overflow);
    Hostile fits;
    fits.receiver.payload_max = 512;
    EXPECT_TRUE(fits.open(fits.seal(pattern(512))).valid);
}

TEST(HostileRecord, TooShortForATag) {
    for (size_t length = 0; length < 17; ++length)
        EXPECT_EQ(Hostile().refusal(Hostile::header(23, length)), Alert::decode_error);
    for (size_t length = 0; length < 24; ++length)
        EXPECT_EQ(Hostile(Version::tls12).refusal(Hostile::header(23, length)), Alert::bad_record_mac);
}

TEST(HostileRecord, WrongType) {
    for (unsigned type = 0; type < 256; ++type) {
        if (type != 23) {
            EXPECT_EQ(Hostile().refusal(Hostile::header(static_cast<uint8_t>(type), 100)), Alert::unexpected_message)
                << type;
        }
        if (type != 21 && type != 22 && type != 23) {
            EXPECT_EQ(Hostile(Version::tls12).refusal(Hostile::header(static_cast<uint8_t>(type), 100)),
                      Alert::unexpected_message)
                << type;
        }
    }
}

// RFC 8446 §5: a change_cipher_spec that is encrypted, or comes after the handshake, is no business of ours.
TEST(HostileRecord, WrongTypeInside) {
    for (unsigned type = 1; type < 256; ++type) {
        Hostile hostile;
        const bool known = type == 21 || type == 22 || type == 23;
        if (!known) {
            EXPECT_EQ(hostile.refusal(hostile.seal_inner(Buffer{'x', static_cast<uint8_t>(type)})),
                      Alert::unexpected_message)
                << type;
        }
    }
}

// RFC 8446 §5.4.
TEST(HostileRecord, NothingButPadding) {
    Hostile hostile;
    EXPECT_EQ(hostile.refusal(hostile.seal_inner(Buffer(100))), Alert::unexpected_message);
}

// RFC 8446 §5.1: only application data may be empty.
TEST(HostileRecord, EmptyAlertOrHandshake) {
    for (const Version version : {Version::tls12, Version::tls13}) {
        for (const ContentType type : {ContentType::alert, ContentType::handshake}) {
            Hostile hostile(version);
            EXPECT_EQ(hostile.refusal(hostile.seal({}, type)), Alert::unexpected_message);
        }
        Hostile hostile(version);
        EXPECT_TRUE(hostile.open(hostile.seal({})).valid);
    }
}

TEST(HostileRecord, ReplayedSwappedOrLeftOut) {
    for (const Version version : {Version::tls12, Version::tls13}) {
        Hostile hostile(version);
        const Buffer first = hostile.seal(pattern(10, 1)), second = hostile.seal(pattern(10, 2));
        EXPECT_EQ(hostile.refusal(second), Alert::bad_record_mac);
        EXPECT_TRUE(hostile.open(first).valid);
        EXPECT_EQ(hostile.refusal(first), Alert::bad_record_mac);
        EXPECT_TRUE(hostile.open(second).valid) << "the refusals changed nothing";
    }
}

TEST(HostileRecord, AnyChangedByte) {
    for (const Version version : {Version::tls12, Version::tls13}) {
        Hostile hostile(version);
        const Buffer right = hostile.seal(pattern(40));
        for (size_t at = record_header_bytes; at < right.size(); ++at) {
            Buffer wrong = right;
            wrong[at] ^= 0x10;
            EXPECT_EQ(hostile.refusal(wrong), Alert::bad_record_mac) << at;
        }
        EXPECT_TRUE(hostile.open(right).valid);
    }
}

TEST(HostileRecord, Truncated) {
    Hostile hostile;
    Buffer record = hostile.seal(pattern(40));
    record.resize(record.size() - 1);
    record[4] -= 1;
    EXPECT_EQ(hostile.refusal(record), Alert::bad_record_mac);
}

}  // namespace
}  // namespace millrace::tls
