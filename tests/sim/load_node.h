// The load generator as a node of the simulated network: a whole run (load/run.h) with all its clients and servers
// behind one device. Single-threaded, virtual time.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "load/run.h"
#include "tests/sim/network.h"

namespace millrace::sim {

inline constexpr MacAddress load_mac{{2, 0, 0, 0, 0, 0x10}};

class LoadNode : public Node {
  public:
    /// `settings` must outlive the node. What the device takes between two polls is `ring_frames`.
    LoadNode(const load::Settings& settings, uint32_t ring_frames, TimeUs now);

    void receive(std::span<const uint8_t> frame, TimeUs now) override;
    std::optional<TimeUs> next_deadline(TimeUs now) override;
    void poll(TimeUs now, const FrameSink& send) override;

    load::Run& run() { return *run_; }

  private:
    struct Ring : net::FrameSink {
        uint32_t credit(uint16_t) override { return left; }
        std::span<uint8_t> reserve(uint16_t) override { return left == 0 ? std::span<uint8_t>{} : std::span(room); }
        void commit(uint16_t, size_t length) override;

        uint32_t left = 0;
        std::array<uint8_t, 2048> room;
        std::vector<std::vector<uint8_t>> frames;
    };

    uint32_t ring_frames_;
    Ring ring_;
    std::unique_ptr<const config::RuntimeConfig> config_;
    std::unique_ptr<load::Run> run_;
    bool worked_ = true;
    TimeUs polled_at_ = 0;
};

}  // namespace millrace::sim
