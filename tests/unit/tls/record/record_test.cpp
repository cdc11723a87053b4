// RFC 8448 §3's records; every suite, version and length against OpenSSL's AEADs by the RFCs' formulas.
#include "tls/record/record.h"

#include <gtest/gtest.h>
#include <set>

#include "ends.h"

namespace millrace::tls {
namespace {

constexpr Version versions[] = {Version::tls12, Version::tls13};

Buffer count_to_fifty() {
    Buffer bytes(50);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i);
    return bytes;
}

/// The server's end of RFC 8448 §3, after it has sent its ticket.
struct Trace {
    Trace() {
        slot.version = Version::tls13;
        slot.suite = Suite::aes_128_gcm_sha256;
        set_traffic_keys(crypto, slot.suite, hex("a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"),
                         slot.write);
        set_traffic_keys(crypto, slot.suite, hex("9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"),
                         slot.read);
        slot.write.sequence = 1;
    }
    Buffer seal(ContentType type, Bytes payload) {
        const Bytes pieces[] = {payload};
        Buffer record(payload.size() + 22);
        EXPECT_EQ(tls::seal(crypto, slot, type, pieces, record.data()), record.size());
        return record;
    }
    Buffer open(ContentType type, Bytes record) {
        const Bytes pieces[] = {record.subspan(record_header_bytes)};
        Buffer out(record.size());
        const Opened opened = tls::open(crypto, slot, record.first<record_header_bytes>(), pieces, out.data());
        EXPECT_TRUE(opened.valid);
        EXPECT_EQ(opened.type, type);
        out.resize(opened.length);
        return out;
    }

    Crypto crypto;
    Slot slot{};
};

TEST(Record, Rfc8448SimpleHandshakeServerSide) {
    Trace trace;
    EXPECT_EQ(
        trace.open(ContentType::application_data,
                   hex("1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e"
                       "2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4")),
        count_to_fifty());
    EXPECT_EQ(
        trace.seal(ContentType::application_data, count_to_fifty()),
        hex("17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59a8fcc49c"
            "4bf2e5f0a21c0047c2abf332540dd032e167c2955d"));
    EXPECT_EQ(trace.open(ContentType::alert, hex("1703030013c9872760655666b74d7ff1153efd6db6d0b0e3")), hex("0100"));
    EXPECT_EQ(trace.seal(ContentType::alert, hex("0100")), hex("1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9"));
}

TEST(Record, EveryLengthComesBack) {
    for (const Version version : versions) {
        for (const Suite suite : suites) {
            Ends ends(version, suite);
            for (size_t length = 0; length <= payload_bytes_max; length += length < 300      ? 1
                                                                           : length < 16'000 ? 317
                                                                                             : 1) {
                const Buffer text = pattern(length, static_cast<unsigned>(length));
                const Buffer record = ends.seal(text);
                ASSERT_EQ(record.size(), length + overhead_bytes(version, suite));
                const Opened opened = ends.open(record);
                ASSERT_TRUE(opened.valid) << int(version) << ", " << int(suite) << ", " << length;
                ASSERT_EQ(opened.type, ContentType::application_data);
                ASSERT_EQ(ends.payload, text);
            }
            EXPECT_EQ(ends.sender.write.sequence, ends.receiver.read.sequence);
        }
    }
}

TEST(Record, EveryCutComesBack) {
    for (const Version version : versions) {
        for (const Suite suite : suites) {
            Ends ends(version, suite);
            const Buffer text = pattern(200);
            for (size_t cut = 0; cut <= text.size() + overhead_bytes(version, suite) - record_header_bytes; ++cut) {
                const Buffer record = ends.seal(text);
                ASSERT_TRUE(ends.open(record, cut).valid) << int(version) << ", " << int(suite) << ", " << cut;
                ASSERT_EQ(ends.payload, text);
            }
        }
    }
}

// A payload in pieces gives the same record as one in one piece, copied or not.
TEST(Record, PiecesAreSealedAsOne) {
    for (const size_t length : {100u, 5000u}) {
        for (const Suite suite : suites) {
            Ends one(Version::tls13, suite), many(Version::tls13, suite);
            const Buffer text = pattern(length);
            std::array<Bytes, pieces_max> pieces;
            for (size_t i = 0; i < pieces.size(); ++i)
                pieces[i] = Bytes(text).subspan(i * length / pieces_max,
                                                (i + 1) * length / pieces_max - i * length / pieces_max);
            Buffer record(length + overhead_bytes(Version::tls13, suite));
            EXPECT_EQ(seal(many.crypto, many.sender, ContentType::application_data, pieces, record.data()),
                      record.size());
            EXPECT_EQ(record, one.seal(text));
        }
    }
}

// RFC 5288 §3 and RFC 5246 §6.2.3.3, spelled out.
TEST(Record, Tls12GcmCarriesItsNonce) {
    Ends ends(Version::tls12, Suite::aes_128_gcm_sha256);
    ends.sender.write.iv = {1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    for (uint8_t sequence = 0; sequence < 3; ++sequence) {
        const Buffer record = ends.seal(pattern(30), ContentType::handshake);
        Nonce nonce = ends.sender.write.iv;
        const uint64_t number = ~uint64_t{0} + sequence;  // over the end and on
        for (size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<uint8_t>(number >> (56 - 8 * i));
        EXPECT_EQ(Buffer(record.begin() + 5, record.begin() + 13), Buffer(nonce.begin() + 4, nonce.end()));
        const Buffer associated{0, 0, 0, 0, 0, 0, 0, sequence, 22, 3, 3, 0, 30};
        EXPECT_EQ(evp_open(ends.sender.suite, ends.sender.write.key, nonce, associated, Bytes(record).subspan(13)),
                  pattern(30));
    }
}

// RFC 7905 §2.
TEST(Record, Tls12ChaChaHasNoExplicitNonce) {
    Ends ends(Version::tls12, Suite::chacha20_poly1305_sha256);
    ends.sender.write.sequence = 0x0102030405060708;
    const Buffer record = ends.seal(pattern(30));
    Nonce nonce = ends.sender.write.iv;
    for (size_t i = 0; i < 8; ++i) nonce[4 + i] ^= static_cast<uint8_t>(i + 1);
    const Buffer associated{1, 2, 3, 4, 5, 6, 7, 8, 23, 3, 3, 0, 30};
    EXPECT_EQ(evp_open(ends.sender.suite, ends.sender.write.key, nonce, associated, Bytes(record).subspan(5)),
              pattern(30));
}

// RFC 8446 §5.4: zeros behind the type are no payload, zeros at the payload's end are.
TEST(Record, PaddingIsTakenOff) {
    Ends ends(Version::tls13, Suite::aes_256_gcm_sha384);
    Buffer inner = hex("68690000");
    inner.push_back(23);
    for (const size_t padding : {0u, 1u, 255u, 16'000u}) {
        Buffer padded = inner;
        padded.resize(inner.size() + padding);
        ASSERT_TRUE(ends.open(ends.seal_inner(padded)).valid);
        EXPECT_EQ(ends.payload, hex("68690000"));
    }
}

TEST(Record, NewKeysAreDueWellBeforeTheLimit) {
    Ends ends(Version::tls13, Suite::aes_128_gcm_sha256);
    ends.sender.write.sequence = records_per_key - 1;
    EXPECT_FALSE(key_update_due(ends.sender));
    ends.seal(pattern(10));
    EXPECT_TRUE(key_update_due(ends.sender));
    ends.sender.version = Version::tls12;
    EXPECT_FALSE(key_update_due(ends.sender)) << "TLS 1.2 has none";
}

}  // namespace
}  // namespace millrace::tls
