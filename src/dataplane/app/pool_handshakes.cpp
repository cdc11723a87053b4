#include "dataplane/app/pool_handshakes.h"

namespace millrace::app {

static_assert(relay::handshake_step_bytes == tls::step_input_bytes_max);

relay::Handshakes::Answer PoolHandshakes::answer(uint16_t seat) const {
    const tls::Pool::Answer answer = pool_.answer(worker_, seat);
    const State state = answer.state == tls::Handshake::State::done     ? State::done
                        : answer.state == tls::Handshake::State::failed ? State::failed
                                                                        : State::under_way;
    return {.state = state,
            .output = answer.output,
            .slot = answer.slot,
            .leftover = answer.leftover,
            .resumed = answer.resumed,
            .subject = answer.subject,
            .ticket_wanted = answer.ticket_wanted,
            .own_fault = answer.own_fault};
}

std::optional<uint16_t> PoolHandshakes::open_to(const relay::ServerPeer& peer) {
    return pool_.open(worker_, context_of_backend(peer.backend_slot), {peer.server_slot, peer.address}, 0);
}

namespace {

void add(const auto& from, auto& to) {
    for (size_t i = 0; i < to.size(); ++i) to[i] += from[i].load(std::memory_order_relaxed);
}

}  // namespace

/// Each thread is reported by one worker.
relay::Handshakes::Load PoolHandshakes::load() const {
    Load load{};
    load.waiting = pool_.waiting(worker_);
    for (uint32_t thread = worker_; thread < settings_.threads; thread += settings_.workers) {
        const tls::CryptoCounters& counters = pool_.counters(thread);
        load.steps += counters.steps.load(std::memory_order_relaxed);
        load.busy_us += counters.busy_ns.load(std::memory_order_relaxed) / 1000;
        load.wait_us += counters.waited_ns.load(std::memory_order_relaxed) / 1000;
        add(counters.tally.suites, load.tallies.suites);
        add(counters.tally.groups, load.tallies.groups);
        add(counters.tally.alerts_in, load.tallies.alerts_in);
        add(counters.tally.alerts_out, load.tallies.alerts_out);
    }
    return load;
}

}  // namespace millrace::app
