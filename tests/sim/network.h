// A simulated Ethernet in virtual time: nodes hand in raw frames, links lose, delay, reorder, repeat and damage them,
// and everything that happens follows from one seed. Single-threaded; it knows nothing of TCP.
//
//   Node ──poll()──► link of the sender ──► event queue ──► switch by destination MAC ──► Node::receive()
//
// A node is anything that takes frames: a Host (host.h), or the balancer's own Worker behind a small adapter.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <queue>
#include <span>
#include <string>
#include <vector>

#include <millrace/address.h>

#include "dataplane/base/time.h"
#include "tests/sim/random.h"

namespace millrace::sim {

using FrameSink = std::function<void(std::span<const uint8_t> frame)>;

class Node {
  public:
    virtual ~Node() = default;

    /// A frame arrived. What it causes is sent in the poll() that follows, after all frames of this instant.
    virtual void receive(std::span<const uint8_t> frame, TimeUs now) = 0;

    /// When poll() is wanted, even if nothing arrives; at or before now: at once. Empty: never.
    virtual std::optional<TimeUs> next_deadline(TimeUs now) = 0;

    /// Does what is due and sends.
    virtual void poll(TimeUs now, const FrameSink& send) = 0;
};

/// What a sender's link does to its frames; probabilities 0…1, each frame and copy on its own.
struct LinkOptions {
    double loss = 0;
    double burst = 0;          ///< a burst of losses begins with a frame (Gilbert's model, in time)
    TimeUs burst_us = 10'000;  ///< its mean length
    double duplicate = 0;
    double reorder = 0;  ///< held back by up to `reorder_delay_us` more than the others
    double corrupt = 0;  ///< one bit flipped anywhere in the frame
    /// Only in what a checksum covers here: a real link's own would find damage to the Ethernet header and to ARP.
    bool corrupt_only_ip = false;
    TimeUs delay_us = 100;
    TimeUs jitter_us = 0;  ///< up to this much more; frames keep their order
    TimeUs reorder_delay_us = 2000;
    uint64_t bits_per_second = 0;     ///< 0: unlimited
    size_t queue_bytes = 256 * 1024;  ///< of a limited link; frames beyond are lost
    TimeUs flap_every_us = 0;         ///< the link goes down about so often; 0: never
    TimeUs flap_down_us = 0;          ///< for so long
    uint16_t mtu_bytes = 0;           ///< larger IP packets are lost, and their sender is told so by ICMP; 0: no limit
    bool black_hole = false;          ///< nobody is told
};

/// Everything that a path of the internet does to packets, each with its own chance, but for the MTU.
LinkOptions bad_weather(Random& random);

struct NetworkTotals {
    uint64_t sent = 0, delivered = 0, lost = 0, duplicated = 0, reordered = 0, corrupted = 0, queue_drops = 0;
    uint64_t lost_in_bursts = 0, lost_while_down = 0, too_big = 0;
    uint64_t neighbour_messages_lost = 0;  ///< of all that were lost or damaged: frames that aren't TCP
};

class Network {
  public:
    explicit Network(uint64_t seed) : random_(seed) {}

    /// The node gets every frame for `mac` and every group frame. It must outlive the network.
    void attach(Node& node, const MacAddress& mac, const LinkOptions& link);
    void set_link(const MacAddress& mac, const LinkOptions& link);

    /// Called after every event with the time; where invariants are checked.
    void set_observer(std::function<void(TimeUs)> observer) { observer_ = std::move(observer); }
    /// Called with every frame that a node sends, before the link touches it.
    void set_tap(std::function<void(TimeUs, std::span<const uint8_t>)> tap) { tap_ = std::move(tap); }

    /// Runs until `done` says so after an event (true), or until `end`, or until nothing is left to happen (false).
    bool run(TimeUs end, const std::function<bool()>& done);

    TimeUs now() const { return now_; }
    const NetworkTotals& totals() const { return totals_; }

  private:
    struct Port {
        Node* node;
        MacAddress mac;
        LinkOptions link;
        TimeUs in_order_until = 0;  ///< arrival of the latest frame that was not held back
        TimeUs line_free_at = 0;
        TimeUs burst_until = 0;
        TimeUs down_from = 0, down_until = 0;
    };
    struct Arrival {
        TimeUs at;
        uint64_t order;  ///< frames of one instant keep theirs
        size_t port;
        std::vector<uint8_t> frame;
        bool operator>(const Arrival& other) const { return at != other.at ? at > other.at : order > other.order; }
    };

    void poll(size_t port);
    void transmit(size_t from, std::span<const uint8_t> frame);
    bool passes(Port& port, std::span<const uint8_t> frame, TimeUs& departs);
    void refuse_too_big(size_t from, std::span<const uint8_t> frame, TimeUs at);
    void deliver(size_t to, TimeUs at, std::vector<uint8_t> frame);
    std::optional<TimeUs> next_event();

    Random random_;
    TimeUs now_ = 1'000'000'000;  // clocks do not start at zero
    uint64_t order_ = 0;
    std::vector<Port> ports_;
    std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> arrivals_;
    std::function<void(TimeUs)> observer_;
    std::function<void(TimeUs, std::span<const uint8_t>)> tap_;
    NetworkTotals totals_;
};

}  // namespace millrace::sim
