#include "tls/record/record.h"

#include <algorithm>
#include <atomic>

#include <millrace/assert.h>

#include "dataplane/base/fault.h"

namespace millrace::tls {
namespace {

/// Up to here a payload is copied and sealed in place by one call, which is faster than a call for each piece.
constexpr size_t copied_bytes_max = 1024;

void put_be(uint8_t* at, uint64_t value, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) at[i] = static_cast<uint8_t>(value >> (8 * (bytes - 1 - i)));
}

uint64_t get_be(const uint8_t* at, size_t bytes) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; ++i) value = value << 8 | at[i];
    return value;
}

/// RFC 8446 §5.3, RFC 7905 §2.
Nonce nonce_by_xor(const Direction& direction, uint64_t sequence) {
    Nonce nonce = direction.iv;
    for (size_t i = 0; i < 8; ++i) nonce[4 + i] ^= static_cast<uint8_t>(sequence >> (56 - 8 * i));
    return nonce;
}

/// What is authenticated beside the payload: the header in TLS 1.3 (RFC 8446 §5.2), in TLS 1.2 the sequence number, the
/// type, the version and the length of the payload (RFC 5246 §6.2.3.3).
struct Associated {
    std::array<uint8_t, 13> storage;
    size_t length;

    Associated(const Slot& slot, uint64_t sequence, const uint8_t* header, size_t payload) {
        if (slot.version == Version::tls13) {
            std::copy_n(header, record_header_bytes, storage.begin());
            length = record_header_bytes;
        } else {
            put_be(storage.data(), sequence, 8);
            std::copy_n(header, 3, storage.begin() + 8);
            put_be(storage.data() + 11, payload, 2);
            length = storage.size();
        }
    }
    Bytes bytes() const { return Bytes(storage).first(length); }
};

/// Copies `length` bytes from the front of the pieces and takes them away from there.
void take_front(std::span<Bytes> pieces, uint8_t* to, size_t length) {
    for (Bytes& piece : pieces) {
        const size_t part = std::min(length, piece.size());
        std::copy_n(piece.begin(), part, to);
        piece = piece.subspan(part);
        to += part;
        length -= part;
    }
}

void take_back(std::span<Bytes> pieces, uint8_t* to, size_t length) {
    for (size_t i = pieces.size(); i-- > 0;) {
        const size_t part = std::min(length, pieces[i].size());
        length -= part;
        std::copy_n(pieces[i].end() - static_cast<ptrdiff_t>(part), part, to + length);
        pieces[i] = pieces[i].first(pieces[i].size() - part);
    }
}

Opened refused(Alert alert) {
    return {.valid = false, .alert = alert, .type = ContentType::application_data, .length = 0};
}

/// TLS 1.3: the type is the last byte that is not zero (RFC 8446 §5.4).
Opened strip_padding(const uint8_t* inner, size_t length) {
    while (length > 0 && inner[length - 1] == 0) --length;
    if (length == 0) return refused(Alert::unexpected_message);
    return {.valid = true, .alert = {}, .type = ContentType{inner[length - 1]}, .length = length - 1};
}

Opened check(const Slot& slot, const Opened& opened) {
    if (opened.length > payload_limit(slot)) return refused(Alert::record_overflow);
    const bool data = opened.type == ContentType::application_data;
    const bool control = opened.type == ContentType::alert || opened.type == ContentType::handshake;
    if (!data && !(control && opened.length > 0)) return refused(Alert::unexpected_message);  // RFC 8446 §5.1
    return opened;
}

}  // namespace

RecordHeader read_header(const Slot& slot, std::span<const uint8_t, record_header_bytes> header) {
    const size_t length = get_be(header.data() + 3, 2);
    const auto refuse = [&](Alert alert) { return RecordHeader{.valid = false, .alert = alert, .length = length}; };
    const bool tls13 = slot.version == Version::tls13;
    const auto type = ContentType{header[0]};
    const bool known = type == ContentType::application_data ||
                       (!tls13 && (type == ContentType::alert || type == ContentType::handshake));
    if (!known) return refuse(Alert::unexpected_message);
    const size_t overhead = overhead_bytes(slot.version, slot.suite) - record_header_bytes;
    if (length > payload_limit(slot) + (tls13 ? 256 : 2048)) return refuse(Alert::record_overflow);
    if (length < overhead) return refuse(tls13 ? Alert::decode_error : Alert::bad_record_mac);
    return {.valid = true, .alert = {}, .length = length};
}

Opened open(Crypto& crypto, Slot& slot, std::span<const uint8_t, record_header_bytes> header, Pieces pieces,
            uint8_t* out) {
    MILLRACE_ASSERT(pieces.size() <= pieces_max);
    std::array<Bytes, pieces_max> storage;
    const std::span<Bytes> rest(storage.data(), pieces.size());
    std::ranges::copy(pieces, rest.begin());

    Direction& direction = slot.read;
    size_t length = get_be(header.data() + 3, 2) - tag_bytes;
    std::array<uint8_t, tag_bytes> tag;
    take_back(rest, tag.data(), tag.size());
    Nonce nonce = direction.iv;
    if (const size_t carried = explicit_nonce_bytes(slot.version, slot.suite)) {
        take_front(rest, nonce.data() + 4, carried);  // the peer's choice
        length -= carried;
    } else {
        nonce = nonce_by_xor(direction, direction.sequence);
    }
    const Associated associated(slot, direction.sequence, header.data(), length);
    if (!crypto.open(slot.suite, direction.key.data(), nonce, associated.bytes(), rest, tag, out))
        return refused(Alert::bad_record_mac);
    const Opened opened =
        check(slot, slot.version == Version::tls13
                        ? strip_padding(out, length)
                        : Opened{.valid = true, .alert = {}, .type = ContentType{header[0]}, .length = length});
    if (opened.valid) ++direction.sequence;
    return opened;
}

size_t seal(Crypto& crypto, Slot& slot, ContentType type, Pieces payload, uint8_t* out) {
    MILLRACE_ASSERT(payload.size() <= pieces_max);
    size_t length = 0;
    for (const Bytes piece : payload) length += piece.size();
    MILLRACE_ASSERT(length <= payload_limit(slot));

    Direction& direction = slot.write;
    const uint64_t sequence = direction.sequence;
    if (!fault(Fault::tls_sequence_stored_late)) direction.sequence = sequence + 1;
    // A successor of this process must find the number used before anything sealed with it can have left.
    std::atomic_signal_fence(std::memory_order_seq_cst);

    const bool tls13 = slot.version == Version::tls13;
    const size_t total = length + overhead_bytes(slot.version, slot.suite);
    out[0] = static_cast<uint8_t>(tls13 ? ContentType::application_data : type);
    put_be(out + 1, 0x0303, 2);
    put_be(out + 3, total - record_header_bytes, 2);
    uint8_t* body = out + record_header_bytes;
    const uint64_t number = fault(Fault::tls_nonce_of_32_bits) ? static_cast<uint32_t>(sequence) : sequence;
    Nonce nonce;
    if (const size_t carried = explicit_nonce_bytes(slot.version, slot.suite)) {
        nonce = direction.iv;
        put_be(nonce.data() + 4, get_be(nonce.data() + 4, carried) + number, carried);
        body = std::copy_n(nonce.begin() + 4, carried, body);
    } else {
        nonce = nonce_by_xor(direction, number);
    }
    const auto inner_type = static_cast<uint8_t>(type);
    std::array<Bytes, pieces_max + 1> pieces;
    size_t count = payload.size();
    std::ranges::copy(payload, pieces.begin());
    if (tls13) pieces[count++] = {&inner_type, 1};
    if (length <= copied_bytes_max) {
        uint8_t* end = body;
        for (const Bytes piece : Pieces(pieces).first(count)) end = std::ranges::copy(piece, end).out;
        pieces[0] = {body, end};
        count = 1;
    }
    const Associated associated(slot, sequence, out, length);
    crypto.seal(slot.suite, direction.key.data(), nonce, associated.bytes(), Pieces(pieces).first(count), body);
    if (fault(Fault::tls_sequence_stored_late)) direction.sequence = sequence + 1;
    return total;
}

}  // namespace millrace::tls
