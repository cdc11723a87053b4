// Two ends of one connection, with keys that nobody agreed on: what one seals the other opens.
#pragma once

#include <algorithm>
#include <gtest/gtest.h>

#include "evp.h"
#include "tls/record/key_schedule.h"
#include "tls/record/record.h"

namespace millrace::tls {

struct Ends {
    Ends(Version version, Suite suite) {
        for (Slot* slot : {&sender, &receiver}) {
            slot->version = version;
            slot->suite = suite;
        }
        Direction& keys = sender.write;
        std::ranges::copy(pattern(key_bytes(suite), 21), keys.key.begin());
        std::ranges::copy(pattern(nonce_bytes, 22), keys.iv.begin());
        receiver.read = keys;
    }

    Buffer seal(Bytes text, ContentType type = ContentType::application_data) {
        const Bytes pieces[] = {text};
        Buffer record(text.size() + overhead_bytes(sender.version, sender.suite));
        record.resize(tls::seal(crypto, sender, type, pieces, record.data()));
        return record;
    }

    /// Opens a whole record; its header must be acceptable. `payload` is what came out.
    Opened open(Bytes record, size_t cut = 0) {
        const auto header = record.first<record_header_bytes>();
        const RecordHeader read = read_header(receiver, header);
        EXPECT_TRUE(read.valid);
        EXPECT_EQ(read.length, record.size() - record_header_bytes);
        const Bytes rest = record.subspan(record_header_bytes);
        const Bytes pieces[] = {rest.first(cut), rest.subspan(cut)};
        payload.assign(rest.size(), 0);
        const Opened opened = tls::open(crypto, receiver, header, pieces, payload.data());
        payload.resize(opened.valid ? opened.length : 0);
        return opened;
    }

    /// The plaintext of a TLS 1.3 record as it is, without type and padding being added.
    Buffer seal_inner(Bytes inner) {
        Buffer record{23, 3, 3, static_cast<uint8_t>((inner.size() + tag_bytes) >> 8),
                      static_cast<uint8_t>(inner.size() + tag_bytes)};
        Nonce nonce = sender.write.iv;
        nonce[11] ^= static_cast<uint8_t>(sender.write.sequence++);
        const Buffer body = evp_seal(sender.suite, sender.write.key, nonce, record, inner);
        record.insert(record.end(), body.begin(), body.end());
        return record;
    }

    Crypto crypto;
    Slot sender{}, receiver{};
    Buffer payload;
};

}  // namespace millrace::tls
