#include "tls/record/key_schedule.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "dataplane/base/fault.h"

namespace millrace::tls {

void expand_label(Crypto& crypto, Suite suite, Bytes secret, std::string_view label, std::span<uint8_t> out) {
    constexpr std::string_view prefix = "tls13 ";
    std::array<uint8_t, 2 + 1 + prefix.size() + 12 + 1 + 1> info{};
    size_t length = 0;
    const auto put = [&](size_t byte) { info[length++] = static_cast<uint8_t>(byte); };
    put(out.size() >> 8);
    put(out.size());
    put(prefix.size() + label.size());
    for (const char character : prefix) put(static_cast<uint8_t>(character));
    for (const char character : label) put(static_cast<uint8_t>(character));
    put(0);  // no context
    put(1);  // the number of the block, HKDF-Expand's only one (RFC 5869 §2.3)
    std::array<uint8_t, hash_bytes_max> block;
    crypto.hmac(suite, secret, Bytes(info).first(length), block.data());
    std::copy_n(block.begin(), out.size(), out.begin());
    explicit_bzero(block.data(), block.size());
}

void set_traffic_keys(Crypto& crypto, Suite suite, Bytes secret, Direction& direction) {
    direction = {};
    expand_label(crypto, suite, secret, "key", std::span(direction.key).first(key_bytes(suite)));
    expand_label(crypto, suite, secret, "iv", direction.iv);
}

void update_traffic_keys(Crypto& crypto, Suite suite, std::span<uint8_t> secret, Direction& direction) {
    if (fault(Fault::tls_sequence_reset_before_key)) direction.sequence = 0;
    std::array<uint8_t, hash_bytes_max> next;
    const std::span<uint8_t> part = std::span(next).first(hash_bytes(suite));
    expand_label(crypto, suite, secret.first(part.size()), "traffic upd", part);
    Direction keys;
    set_traffic_keys(crypto, suite, part, keys);
    // In an order that never lets a number be used twice under one key, wherever the process is ended: the sequence
    // number goes back only when the key that it belonged to is gone.
    std::ranges::copy(part, secret.begin());
    direction.key = keys.key;
    direction.iv = keys.iv;
    std::atomic_signal_fence(std::memory_order_seq_cst);
    direction.sequence = 0;
    crypto.wipe();
    explicit_bzero(next.data(), next.size());
    explicit_bzero(&keys, sizeof keys);
}

}  // namespace millrace::tls
