// The bench of the tests of recovery with SACK: ten segments of 1,000 B sent at once, ten more queued, an RTT of 10 ms.
#pragma once

#include "connection.h"

namespace millrace::tcp {

struct SackLoss : Connection {
    using Blocks = std::vector<std::pair<uint32_t, uint32_t>>;

    explicit SackLoss(size_t queued = 20'000) {
        peer_sack = true;
        establish(1000);
        send_text(pattern(queued));
        flush_all();
        sent.clear();
        advance(10'000);
    }
    /// An ACK with SACK blocks; returns what it makes us send.
    std::vector<Sent> ack(uint32_t to, const Blocks& blocks = {}, std::optional<uint32_t> ts_echo = std::nullopt) {
        in(0, to, "", 0, {.ts_echo = ts_echo, .sack = blocks});
        return flush_all();
    }
    std::vector<uint32_t> seqs(const std::vector<Sent>& out) {
        std::vector<uint32_t> list;
        for (const Sent& segment : out) list.push_back(seq_of(segment));
        return list;
    }
    RecoveryState state() {
        const Extension* extended = extension(context(), ep());
        return extended == nullptr ? RecoveryState{} : extended->recovery;
    }
};

}  // namespace millrace::tcp
