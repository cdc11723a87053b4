// The link and network layer of one worker: which interface and neighbour a packet leaves by, the answers that every
// host owes (ARP, neighbour discovery, echo), and the frames themselves. No mbuf, no clock, no thread: frames come in
// parsed, and go out through a FrameSink.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/base/counter.h"
#include "dataplane/config/runtime_config.h"
#include "dataplane/net/frame_io.h"
#include "dataplane/net/neighbour_table.h"
#include "dataplane/wire/frame.h"
#include "dataplane/wire/write.h"

namespace millrace::net {

/// How to reach one peer now. Valid until the next learn or configuration: for the length of a burst.
struct Path {
    uint16_t interface;
    wire::LinkHeader link;
};

enum class PathState : uint8_t {
    ready,
    unresolved,   ///< the neighbour is being asked for: try again when neighbours().changes() moved
    silent,       ///< so it is, but has not answered for some seconds
    unreachable,  ///< no route leads there
};

/// By which way an echo request goes, as far as it is known.
struct EchoWay {
    uint16_t interface = no_slot;
    IpAddress source{};
    IpAddress next_hop{};
};

enum class EchoOutcome : uint8_t {
    sent,
    waits,        ///< for the neighbour, or for room in the device: try again
    unreachable,  ///< no route leads there, or we have no address of its family on that link
    too_long,
};

struct IpCounters {
    Counter echo_answered = 0;
    Counter arp_answered = 0;
    Counter ndp_answered = 0;
    Counter solicitations_sent = 0;
    Counter unresolved_dropped = 0;  ///< packets of no relay (SYN-ACK, RST) whose neighbour was not known
    Counter unreachable_dropped = 0;
    Counter no_credit_dropped = 0;  ///< likewise, when the device had no room
};

class IpLayer {
  public:
    /// `macs` by interface index. The sink must outlive this.
    IpLayer(FrameSink& sink, std::vector<MacAddress> macs, uint32_t neighbours_max);

    /// From now on with this configuration; the one before must live until this returns. Announces every address that
    /// is new on its link (once: RFC 5227 §2.3, RFC 9131) from the next poll() on when `announce`.
    void set_config(const config::RuntimeConfig& config, bool announce);

    /// Handles an ARP, NDP or ICMP frame. ICMP errors are left to the caller. True when it told something of a
    /// neighbour that other workers may need: it was meant for us, or it changed what we knew. Of an announcement to
    /// all that says nothing new here they learn nothing, even where they would: their own questions find out.
    bool on_frame(const InboundFrame& inbound, const wire::ParsedFrame& frame, TimeUs now);

    /// A TCP segment came, to our own MAC address: remembers by which way, for send_or_drop() and trust_sender().
    void note_sender(uint16_t interface, const wire::ParsedFrame& frame) {
        sender_ = {frame.tcp.source, frame.source_mac, interface};
    }

    /// The sender of the segment noted last has completed a handshake: unless the way to it is known, take it to be the
    /// way that the segment came by, so that its relay need not wait for an answer to a question.
    void trust_sender(TimeUs now);

    /// The way to a peer. `path` is filled only when the state is ready.
    PathState path(const IpAddress& peer, TimeUs now, Path& path);

    /// Frames that may be sent on the path's interface now.
    uint32_t credit(const Path& path) { return sink_.credit(path.interface); }

    /// Sends a segment; its header.source is filled in here from its local_id. Needs credit.
    void send(const Path& path, wire::OutboundSegment& segment);

    /// For segments of no relay (SYN-ACK, RST, TIME_WAIT). Sends when the neighbour is known, or back by the way that
    /// the segment noted last came by, if that is what is answered; else drops and counts. Whom it sends to may be
    /// spoofed, so it makes no entry and asks for nobody.
    void send_or_drop(wire::OutboundSegment& segment, TimeUs now);

    /// Sends an echo request; its source is chosen here: an address of the next hop's network.
    EchoOutcome send_echo(const wire::IcmpEcho& question, TimeUs now, EchoWay& way);

    /// Sends the questions and announcements that are due. Cheap; call it every iteration.
    void poll(TimeUs now);

    /// Takes over the ways to neighbours that `other` knows, whose relays come here.
    void learn_neighbours(const IpLayer& other, TimeUs now) { neighbours_.suppose_all(other.neighbours_, now); }

    const NeighbourTable& neighbours() const { return neighbours_; }
    const IpCounters& counters() const { return counters_; }

  private:
    const InterfaceRecord& interface_record(uint16_t interface) const {
        return config_->snapshot().interfaces()[interface];
    }
    wire::LinkHeader link_to(uint16_t interface, const MacAddress& destination) const;
    bool answers_for(uint16_t interface, const IpAddress& address, const MacAddress& asked) const;
    const LocalAddressRecord* source_for(uint16_t interface, const IpAddress& target) const;
    bool on_arp(const InboundFrame& inbound, const wire::ParsedFrame& frame, TimeUs now);
    bool on_solicitation(const InboundFrame& inbound, const wire::ParsedFrame& frame, TimeUs now);
    bool on_advertisement(const InboundFrame& inbound, const wire::NdpMessage& message, TimeUs now);
    void on_echo_request(const InboundFrame& inbound, const wire::ParsedFrame& frame);
    void solicit(const Solicitation& question);
    bool announce(const config::LocalAddress& local);

    struct Sender {
        IpAddress address;
        MacAddress mac;
        uint16_t interface;
    };

    FrameSink& sink_;
    std::vector<MacAddress> macs_;
    NeighbourTable neighbours_;
    const config::RuntimeConfig* config_ = nullptr;
    IpCounters counters_;
    Sender sender_{};
    std::vector<uint16_t> unannounced_;  // ids of local addresses
    TimeUs polled_at_ = 0;
};

}  // namespace millrace::net
