// One worker's handshakes, left with the crypto threads of a tls::Pool: what relays know of it is relay::Handshakes.
// The number of a listener's certificates in the pool is its slot; those by which backends' servers are known follow.
#pragma once

#include <millrace/limits.h>

#include "dataplane/relay/handshakes.h"
#include "tls/handshake/pool.h"

namespace millrace::app {

/// The number in the pool of what handshakes with the servers of this backend use.
inline constexpr uint16_t context_of_backend(uint16_t backend_slot) {
    return static_cast<uint16_t>(listener_slot_max + backend_slot);
}

class PoolHandshakes : public relay::Handshakes {
  public:
    /// `settings` are those that the pool was made with; `worker` is one of its workers.
    PoolHandshakes(tls::Pool& pool, const tls::Pool::Settings& settings, uint32_t worker)
        : pool_(pool), settings_(settings), worker_(worker) {}

    uint16_t seat_count() const override { return static_cast<uint16_t>(settings_.seats); }
    std::optional<uint16_t> open(uint16_t listener_slot) override { return pool_.open(worker_, listener_slot, 0); }
    std::optional<uint16_t> open_to(const relay::ServerPeer& peer) override;
    size_t put(uint16_t seat, std::span<const uint8_t> bytes) override { return pool_.put(worker_, seat, bytes); }
    void submit(uint16_t seat) override { pool_.submit(worker_, seat); }
    std::optional<uint16_t> poll() override { return pool_.poll(worker_); }
    Answer answer(uint16_t seat) const override;
    void close(uint16_t seat) override { pool_.close(worker_, seat); }
    Load load() const override;

  private:
    tls::Pool& pool_;
    const tls::Pool::Settings settings_;
    const uint32_t worker_;
};

}  // namespace millrace::app
