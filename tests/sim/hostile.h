// A TCP peer that breaks the rules, a client or a server: one raw connection with the balancer that acknowledges what
// was never sent or has not come, shrinks its window, lies in SACK, reneges, overlaps its own data with other bytes,
// sends single bytes, leaves holes as wide as the window, and at the end resets, vanishes, or finishes and never
// answers. Which of these a peer does follows from its seed. It judges what it is sent: every byte by its place in the
// stream, nothing beyond any window that it ever gave, no ACK of what it did not send, no window that moves back. One
// thread, virtual time.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dataplane/tcp/seq.h"
#include "tests/sim/balancer.h"
#include "tests/sim/network.h"

namespace millrace::sim {

struct HostileOptions {
    uint8_t number = 1;  ///< last byte of its MAC and address 198.18.3.number
    uint64_t seed = 1;
    uint64_t down_key = 0;  ///< of the stream that the other side sends
    bool server = false;    ///< waits for a connection on port 8080, at 198.18.2.(100 + number)
};

class Hostile : public Node {
  public:
    explicit Hostile(const HostileOptions& options);

    void receive(std::span<const uint8_t> frame, TimeUs now) override;
    std::optional<TimeUs> next_deadline(TimeUs now) override;
    void poll(TimeUs now, const FrameSink& send) override;

    MacAddress mac() const { return {{2, 0, 0, 0, 3, options_.number}}; }
    IpAddress address() const { return address_of(options_.server, options_.number); }
    static IpAddress address_of(bool server, uint8_t number) {
        return server ? IpAddress::v4(198, 18, 2, static_cast<uint8_t>(100 + number))
                      : IpAddress::v4(198, 18, 3, number);
    }
    /// A server that was never asked is over, too.
    bool over() const { return stage_ == Stage::gone || (options_.server && stage_ == Stage::closed); }
    const std::vector<std::string>& violations() const { return violations_; }
    uint64_t actions() const { return actions_; }
    uint64_t bytes_seen() const { return bytes_seen_; }

    /// Whether a byte of the stream up may stand at `offset`: it sends two versions of each.
    bool may_stand(uint64_t offset, uint8_t byte) const;

  private:
    enum class Stage : uint8_t { closed, syn_sent, open, gone };
    enum Action : unsigned {
        acknowledge,
        send_data,
        send_byte,
        overlap,
        leave_hole,
        exceed_window,
        shrink_window,
        acknowledge_early,
        acknowledge_unsent,
        lie_in_sack,
        repeat_ack,
        syn_in_window,
        rst_beside,
        fin_beyond_hole,
        action_count
    };

    wire::OutboundSegment segment(uint8_t flags, tcp::Seq seq) const;
    void act();
    void act_on_data(Action action);
    void act_on_acks(Action action);
    void send_range(uint64_t offset, size_t length, bool other);
    void show(wire::OutboundSegment& out);
    void emit(const wire::OutboundSegment& out);
    void on_segment(const wire::TcpSegment& segment);
    void on_syn(const wire::TcpSegment& in);
    void syn(uint8_t flags);
    void on_arp(const wire::ArpPacket& arp);
    void last_act();
    void expect(bool holds, const char* what);

    HostileOptions options_;
    Random random_;
    uint64_t keys_[2];
    unsigned allowed_;  ///< a bit per action
    unsigned actions_left_;
    IpAddress peer_ = balancer_v4;
    uint16_t port_, peer_port_ = tcp_port;
    uint8_t scale_;
    bool timestamps_, sack_;
    bool confirmed_ = false;  ///< our SYN has arrived: before that, another one would be a simultaneous open

    Stage stage_ = Stage::closed;
    tcp::Seq iss_, irs_, rcv_nxt_, seen_, shown_edge_, peer_edge_;
    uint64_t una_ = 0, sent_ = 0;  ///< offsets in our stream: acknowledged, highest sent
    std::set<uint64_t> fins_;      ///< where a FIN of ours ends
    std::set<uint32_t> syns_;      ///< sequence numbers of SYNs sent into the open connection
    uint8_t peer_scale_ = 0;
    uint16_t window_ = 65535;
    uint32_t ts_recent_ = 0;
    TimeUs now_ = 0, next_at_ = 0;
    uint64_t actions_ = 0, bytes_seen_ = 0;
    std::vector<std::vector<uint8_t>> outgoing_;
    std::vector<std::string> violations_;
};

}  // namespace millrace::sim
