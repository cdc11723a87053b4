// Prints what goes over a simulated network, for whoever looks for the cause of a seed's failure.
#pragma once

#include <cstdio>
#include <span>

#include "dataplane/wire/frame.h"
#include "tests/sim/network.h"

namespace millrace::sim {

/// From now on a line for every TCP segment that is sent, lost ones too; times in seconds since the network's start.
inline void trace_segments(Network& network) {
    network.set_tap([start = network.now()](TimeUs now, std::span<const uint8_t> frame) {
        wire::ParsedFrame parsed;
        if (wire::parse_frame(frame, {}, parsed) != wire::FrameKind::tcp) return;
        const wire::TcpSegment& tcp = parsed.tcp;
        std::printf("%.6f %s:%u > %s:%u %s%s%s%s seq %u ack %u win %u len %zu\n",
                    static_cast<double>(now - start) / 1e6, to_string(tcp.source).c_str(), tcp.source_port,
                    to_string(tcp.destination).c_str(), tcp.destination_port, tcp.has(wire::tcp_syn) ? "S" : "",
                    tcp.has(wire::tcp_fin) ? "F" : "", tcp.has(wire::tcp_rst) ? "R" : "",
                    tcp.has(wire::tcp_ack) ? "." : "", tcp.seq, tcp.ack, tcp.window, tcp.payload.size());
    });
}

}  // namespace millrace::sim
