// A peer that has the keys, and one that has not. Records of any inner content, padding and type, sealed rightly, are
// judged as RFC 8446 §5 says; any bytes as a record are refused and change nothing; what we seal comes back, however
// the pieces are cut, and never twice.
//
// Input: version and suite (2 bits, 2 bits), what to do, the seed of the cuts, then the bytes.
#include <algorithm>
#include <cstring>
#include <vector>

#include <millrace/assert.h>

#include "pieces.h"
#include "tls/record/post_handshake.h"
#include "tls/record/record.h"

namespace millrace::tls {
namespace {

Crypto& crypto() {
    static Crypto instance;
    return instance;
}

Slot slot_of(uint8_t choice) {
    Slot slot{};
    slot.version = (choice & 1) != 0 ? Version::tls13 : Version::tls12;
    slot.suite = static_cast<Suite>(1 + (choice >> 1) % 3);
    for (size_t i = 0; i < key_bytes_max; ++i) slot.read.key[i] = static_cast<uint8_t>(i * 7 + choice);
    slot.write = slot.read;
    return slot;
}

std::vector<Bytes> cut(Bytes bytes, uint8_t seed) {
    std::vector<Bytes> pieces;
    fuzz::PieceSizes sizes(seed);
    while (!bytes.empty()) {
        const size_t size = pieces.size() + 1 == pieces_max ? bytes.size() : sizes.next(bytes.size());
        pieces.push_back(bytes.first(size));
        bytes = bytes.subspan(size);
    }
    return pieces;
}

/// What open() makes of a record with an acceptable header.
Opened open_record(Slot& slot, Bytes record, uint8_t seed, std::vector<uint8_t>& out) {
    out.assign(record.size() - record_header_bytes, 0);
    return open(crypto(), slot, record.first<record_header_bytes>(), cut(record.subspan(record_header_bytes), seed),
                out.data());
}

void any_bytes(Slot slot, Bytes record, uint8_t seed) {
    if (record.size() < record_header_bytes) return;
    const RecordHeader header = read_header(slot, record.first<record_header_bytes>());
    if (!header.valid || header.length != record.size() - record_header_bytes) return;
    const Slot before = slot;
    std::vector<uint8_t> out;
    const Opened opened = open_record(slot, record, seed, out);
    MILLRACE_ASSERT(!opened.valid && opened.alert == Alert::bad_record_mac);
    MILLRACE_ASSERT(std::memcmp(&slot, &before, sizeof slot) == 0);
}

void there_and_back(Slot slot, Bytes payload, uint8_t seed) {
    payload = payload.first(std::min(payload.size(), payload_bytes_max));
    std::vector<uint8_t> record(payload.size() + overhead_bytes(slot.version, slot.suite)), out;
    const std::vector<Bytes> pieces = cut(payload, seed);
    MILLRACE_ASSERT(seal(crypto(), slot, ContentType::application_data, pieces, record.data()) == record.size());
    MILLRACE_ASSERT(read_header(slot, Bytes(record).first<record_header_bytes>()).valid);
    const Opened opened = open_record(slot, record, seed, out);
    MILLRACE_ASSERT(opened.valid && opened.type == ContentType::application_data && opened.length == payload.size());
    MILLRACE_ASSERT(std::equal(payload.begin(), payload.end(), out.begin()));
    MILLRACE_ASSERT(!open_record(slot, record, seed, out).valid);
    slot.read.sequence = 0;
    record[record_header_bytes + seed % (record.size() - record_header_bytes)] ^= 1;
    MILLRACE_ASSERT(!open_record(slot, record, seed, out).valid);
}

/// TLS 1.3 with an inner plaintext of the input's choice.
void inner(Slot slot, Bytes plaintext, uint8_t seed) {
    slot.version = Version::tls13;
    plaintext = plaintext.first(std::min(plaintext.size(), payload_bytes_max + 256 - tag_bytes));
    if (plaintext.empty()) return;
    const auto length = plaintext.size() + tag_bytes;
    std::vector<uint8_t> record(record_header_bytes + length), out;
    const uint8_t header[] = {23, 3, 3, static_cast<uint8_t>(length >> 8), static_cast<uint8_t>(length)};
    std::ranges::copy(header, record.begin());
    const Bytes whole[] = {plaintext};
    crypto().seal(slot.suite, slot.write.key.data(), slot.write.iv, header, whole, record.data() + record_header_bytes);
    const Opened opened = open_record(slot, record, seed, out);
    const auto type = std::find_if(plaintext.rbegin(), plaintext.rend(), [](uint8_t byte) { return byte != 0; });
    const auto payload = static_cast<size_t>(plaintext.rend() - type) - (type == plaintext.rend() ? 0 : 1);
    const bool known = type != plaintext.rend() && (*type == 23 || ((*type == 21 || *type == 22) && payload > 0));
    MILLRACE_ASSERT(opened.valid == (known && payload <= payload_bytes_max));
    MILLRACE_ASSERT(!opened.valid || (opened.length == payload && static_cast<uint8_t>(opened.type) == *type));
    MILLRACE_ASSERT(slot.read.sequence == (opened.valid ? 1 : 0));
}

/// Contents of records one after the other, each with its type and length before it. Whatever they are, no more than
/// one message waits, and its length is what a message's can be.
void after_handshake(Slot slot, Bytes stream, uint8_t choice) {
    if ((choice & 1) != 0) slot.flags |= client_role;
    while (stream.size() >= 2) {
        const auto type = static_cast<ContentType>(21 + stream[0] % 3);
        const Bytes payload = stream.subspan(2, std::min<size_t>(stream[1], stream.size() - 2));
        stream = stream.subspan(2 + payload.size());
        if (payload.empty() && type != ContentType::application_data) continue;
        const Verdict verdict = judge(crypto(), slot, type, payload);
        if (verdict.kind != Verdict::Kind::carry_on && verdict.kind != Verdict::Kind::warn) return;
        MILLRACE_ASSERT(slot.message_header_bytes < 4 && slot.message_left < 1u << 24);
        MILLRACE_ASSERT(slot.message_header_bytes == 0 || slot.message_left == 0);
        MILLRACE_ASSERT(slot.fruitless <= fruitless_records_max);
        MILLRACE_ASSERT(slot.version == Version::tls13 || (slot.flags & key_update_owed) == 0);
    }
}

void fuzz_one(std::span<const uint8_t> input) {
    if (input.size() < 3) return;
    const Slot slot = slot_of(input[0]);
    const fuzz::OwnBytes rest(input.subspan(3));
    switch (input[1] % 4) {
        case 0:
            return any_bytes(slot, rest.span(), input[2]);
        case 1:
            return there_and_back(slot, rest.span(), input[2]);
        case 2:
            return after_handshake(slot, rest.span(), input[2]);
        default:
            return inner(slot, rest.span(), input[2]);
    }
}

}  // namespace
}  // namespace millrace::tls

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    millrace::tls::fuzz_one({data, size});
    return 0;
}
