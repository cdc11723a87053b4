#include "tests/sim/load_node.h"

#include <cstdio>
#include <cstdlib>

#include "load/addresses.h"

namespace millrace::sim {
namespace {

constexpr TimeUs busy_interval_us = 20;
constexpr TimeUs idle_interval_us = 500;

}  // namespace

void LoadNode::Ring::commit(uint16_t, size_t length) {
    frames.emplace_back(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(length));
    --left;
}

LoadNode::LoadNode(const load::Settings& settings, uint32_t ring_frames, TimeUs now) : ring_frames_(ring_frames) {
    std::string error;
    config_ = config::RuntimeConfig::compile(load::make_snapshot(settings), nullptr, error);
    if (config_ == nullptr) {
        std::fprintf(stderr, "the generator's configuration is refused: %s\n", error.c_str());
        std::abort();
    }
    ring_.left = ring_frames;
    run_ = std::make_unique<load::Run>(settings, *config_, ring_, std::vector<MacAddress>{load_mac}, now,
                                       [] { return load::Cycles{}; });
}

void LoadNode::receive(std::span<const uint8_t> frame, TimeUs now) {
    const net::InboundFrame inbound{.bytes = frame};
    run_->receive({&inbound, 1}, now);
    worked_ = true;
}

std::optional<TimeUs> LoadNode::next_deadline(TimeUs) {
    return polled_at_ + (worked_ ? busy_interval_us : idle_interval_us);
}

void LoadNode::poll(TimeUs now, const FrameSink& send) {
    polled_at_ = now;
    worked_ = run_->poll(now);
    for (const std::vector<uint8_t>& frame : ring_.frames) send(frame);
    ring_.frames.clear();
    ring_.left = ring_frames_;
}

}  // namespace millrace::sim
