// One direction of the impairment bridge: frames of one interface leave by another, later, changed, twice or never. It
// knows no TCP beyond finding the segments; what becomes of segment n of a direction follows from the seed, the
// direction and n alone, so two runs with one seed lose the same segments. For tests and measurements only.
//
//   recvmmsg ──► line (rate, queue) ──► loss, burst loss ──► copies ──► corruption ──► delay, hold-back ──► sendmmsg
//
// Frames that carry no TCP (ARP, neighbour discovery) pass the line and the delay only. One thread per direction.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <queue>
#include <string>
#include <vector>

namespace impair {

struct Settings {
    uint64_t seed = 1;
    double loss = 0;          ///< probabilities 0…1, each segment and copy on its own
    double burst = 0;         ///< a burst of losses begins
    double burst_length = 4;  ///< mean number of segments lost in a burst (Gilbert's model)
    double duplicate = 0;
    double corrupt = 0;  ///< one bit flipped behind the Ethernet header
    double reorder = 0;  ///< held back by up to `reorder_us` more than the others
    uint64_t reorder_us = 2000;
    uint64_t delay_us = 0;
    uint64_t jitter_us = 0;            ///< up to this much more; frames keep their order
    uint64_t bits_per_second = 0;      ///< 0: unlimited
    uint64_t queue_bytes = 256 << 10;  ///< of a limited line; what arrives beyond is lost
    uint16_t vlan_in = 0;              ///< only frames with this 802.1Q tag are carried, without it; 0: untagged ones
    uint16_t vlan_out = 0;             ///< the tag that every frame leaves with; 0: none
};

struct Counters {
    uint64_t frames_in = 0, segments_in = 0, frames_out = 0, bytes_out = 0;
    uint64_t lost = 0, lost_in_bursts = 0, queue_drops = 0, duplicated = 0, corrupted = 0, reordered = 0;
    uint64_t oversized = 0;     ///< larger than Ethernet allows: the peer still segments or merges in its device
    uint64_t wrong_vlan = 0;    ///< tagged otherwise than vlan_in
    uint64_t missed = 0;        ///< dropped by the kernel because the bridge was too slow
    uint64_t send_refused = 0;  ///< refused by the interface
    uint64_t late_us_max = 0;   ///< latest departure after its time
};

class Path {
  public:
    /// Opens packet sockets on both interfaces. `number` (0, 1) tells the directions' random numbers apart. Throws
    /// std::runtime_error.
    Path(const Settings& settings, const std::string& from, const std::string& to, unsigned number);
    ~Path();
    Path(const Path&) = delete;
    Path& operator=(const Path&) = delete;

    /// Carries frames until `stop`.
    void run(const std::atomic<bool>& stop);
    const Counters& counters() const { return counters_; }

  private:
    static constexpr size_t burst_frames = 64;
    static constexpr size_t frame_bytes = 2048;

    struct Departure {
        uint64_t at_ns;
        uint64_t order;  ///< frames of one instant keep theirs
        std::vector<uint8_t> frame;
        bool operator>(const Departure& other) const {
            return at_ns != other.at_ns ? at_ns > other.at_ns : order > other.order;
        }
    };

    void wait(uint64_t now_ns) const;
    void take_frames(uint64_t now_ns);
    void on_frame(const uint8_t* bytes, size_t length, uint16_t vlan, uint64_t now_ns);
    void send_due(uint64_t now_ns);
    void count_missed();

    Settings settings_;
    uint64_t stream_;
    int in_ = -1, out_ = -1;
    bool in_burst_ = false;
    uint64_t line_free_ns_ = 0, in_order_until_ns_ = 0, order_ = 0;
    std::priority_queue<Departure, std::vector<Departure>, std::greater<>> departures_;
    std::vector<std::array<uint8_t, frame_bytes>> buffers_;
    Counters counters_;
};

}  // namespace impair
