// Echo requests of an operator over the data path (RFC 792, RFC 4443 §4): what the kernel's ping would tell, if the
// kernel had these addresses. One request is one packet; who wants more asks again. Bounded: so many at a time, and no
// faster than `interval_us`. Sans-I/O; a part of one worker, used by its thread alone.
//
//   start ──► waiting ──(its turn has come, the neighbour is resolved)──► sent ──► finished: answered, or too late
//                └─────────────── too late, or no way there ────────────────────► finished
//
// An answer may come to any worker: its echo id names the one that asked.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include <millrace/commands.h>
#include <millrace/limits.h>

#include "dataplane/net/ip_layer.h"

namespace millrace::net {

class Pinger {
  public:
    static constexpr uint32_t outstanding_max = 16;
    static constexpr TimeUs interval_us = 10 * us_per_ms;

    /// `worker`: whose pinger it is.
    explicit Pinger(uint16_t worker) : id_(static_cast<uint16_t>(id_base | worker)) {}

    /// Takes a request. False when as many as can be are outstanding. `nonce` is what an
    /// answer has to repeat.
    bool start(uint64_t request_id, const Ping& request, uint64_t nonce, TimeUs now);

    /// An echo reply that came to us, whoever meant it.
    void on_reply(const wire::IcmpEcho& reply, TimeUs now);

    /// The worker that sent the request of this reply; empty when none of ours can have.
    static std::optional<uint16_t> asker(const wire::IcmpEcho& reply) {
        if ((reply.id & ~(worker_max - 1)) != id_base) return std::nullopt;
        return static_cast<uint16_t>(reply.id & (worker_max - 1));
    }

    bool active() const { return active_ != 0; }

    /// Sends what is due and ends what is late.
    void poll(IpLayer& ip, TimeUs now);

    /// What has ended since; takes it away. Empty when nothing has.
    struct Finished {
        uint64_t request_id;
        Pinged result;
    };
    std::optional<Finished> take_finished();

  private:
    static_assert(ping_payload_min >= sizeof(uint64_t));
    static constexpr uint16_t id_base = 0x4d00;
    static_assert(id_base % worker_max == 0);

    enum class State : uint8_t { free, waiting, sent, finished };
    struct Slot {
        State state = State::free;
        uint16_t sequence = 0;
        uint64_t request_id = 0;
        uint64_t nonce = 0;
        TimeUs sent_at = 0;
        TimeUs deadline = 0;
        Ping request{};
        Pinged result{};
    };

    void send(Slot& slot, IpLayer& ip, TimeUs now);
    static void finish(Slot& slot, PingEnd end);

    uint16_t id_;
    uint16_t count_ = 0;  // of those started: the high bits of their sequence numbers
    uint32_t active_ = 0;
    TimeUs sent_at_ = 0;
    std::array<Slot, outstanding_max> slots_;
    std::array<uint8_t, ping_payload_max> payload_;
};

}  // namespace millrace::net
