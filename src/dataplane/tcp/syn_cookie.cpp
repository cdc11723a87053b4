#include "dataplane/tcp/syn_cookie.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "dataplane/base/fault.h"
#include "dataplane/tcp/segment.h"

namespace millrace::tcp {
namespace {

/// What paths have in common: the least we accept, the defaults of both families, tunnels, and Ethernet's sizes.
constexpr uint16_t mss_classes[] = {88, 536, 1220, 1300, 1400, 1440, 1460, 8940};

constexpr uint32_t hash_mask = 0x0fff'ffff;
constexpr uint32_t option_bits = 6;
constexpr uint32_t option_mask = (1u << option_bits) - 1;
constexpr uint32_t no_window_scale = 15;
constexpr uint32_t sack_bit = 1u << 4;
constexpr uint32_t ecn_bit = 1u << 5;

uint32_t mss_class(uint16_t mss) {
    const auto* above = std::upper_bound(std::begin(mss_classes), std::end(mss_classes), mss);
    return above == std::begin(mss_classes) ? 0 : static_cast<uint32_t>(above - std::begin(mss_classes) - 1);
}

uint32_t options_of(const HandshakeTerms& terms) {
    return (terms.has_window_scale ? terms.send_scale : no_window_scale) | (terms.has_sack ? sack_bit : 0) |
           (terms.has_ecn ? ecn_bit : 0);
}

/// `options` are those of the timestamp, or a value beyond them when there is none.
uint32_t cookie_hash(const Context& ctx, const Tuple& tuple, Seq irs, uint64_t tick, uint32_t mss, uint32_t options) {
    if (fault(Fault::tcp_cookie_never_stale)) tick &= 1;
    if (fault(Fault::tcp_cookie_mss_unhashed)) mss = 0;
    uint64_t words[4];
    std::memcpy(words, tuple.local.bytes.data(), 16);
    std::memcpy(words + 2, tuple.peer.bytes.data(), 16);
    SipHash<2, 4> hash(ctx.secrets.cookies);
    for (const uint64_t word : words) hash.absorb(word);
    hash.absorb(uint64_t{irs.value} << 32 | uint32_t{tuple.local_port} << 16 | tuple.peer_port);
    return static_cast<uint32_t>(hash.finish(tick << 16 | mss << 8 | options)) & hash_mask;
}

uint32_t hashed_options(const HandshakeTerms& terms) {
    return terms.has_timestamps ? options_of(terms) : option_mask + 1;
}

}  // namespace

HandshakeTerms cookie_terms(const HandshakeTerms& terms) {
    HandshakeTerms carried{};
    if (terms.has_timestamps) carried = terms;
    carried.peer_mss = mss_classes[mss_class(terms.peer_mss)];
    return carried;
}

Seq syn_cookie(const Context& ctx, const Tuple& tuple, Seq irs, const HandshakeTerms& terms) {
    const uint64_t tick = ctx.now / cookie_tick_us;
    const uint32_t mss = mss_class(terms.peer_mss);
    return {static_cast<uint32_t>(tick & 1) << 31 | mss << 28 |
            cookie_hash(ctx, tuple, irs, tick, mss, hashed_options(terms))};
}

uint32_t cookie_timestamp(uint32_t ts_value, const HandshakeTerms& terms) {
    const uint32_t value = (ts_value & ~option_mask) | options_of(terms);
    return static_cast<int32_t>(value - ts_value) > 0 ? value - (option_mask + 1) : value;
}

std::optional<HandshakeTerms> check_syn_cookie(const Context& ctx, const wire::TcpSegment& ack) {
    const uint32_t cookie = ack.ack - 1;
    uint64_t tick = ctx.now / cookie_tick_us;
    if ((tick & 1) != cookie >> 31) --tick;
    HandshakeTerms terms{};
    terms.peer_mss = mss_classes[cookie >> 28 & 7];
    terms.has_timestamps = ack.options.has_timestamps;
    const uint32_t options = ack.options.ts_echo & option_mask;
    if (terms.has_timestamps) {
        terms.has_window_scale = (options & 15) != no_window_scale;
        terms.send_scale = terms.has_window_scale ? static_cast<uint8_t>(options & 15) : uint8_t{0};
        terms.has_sack = (options & sack_bit) != 0;
        terms.has_ecn = (options & ecn_bit) != 0;
    }
    const uint32_t hash =
        cookie_hash(ctx, tuple_of(ack), Seq{ack.seq - 1}, tick, cookie >> 28 & 7, hashed_options(terms));
    if (hash != (cookie & hash_mask) && !fault(Fault::tcp_cookie_unverified)) return std::nullopt;
    return terms;
}

}  // namespace millrace::tcp
