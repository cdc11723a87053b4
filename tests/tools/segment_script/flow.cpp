#include "tests/tools/segment_script/flow.h"

#include <algorithm>

#include "dataplane/wire/tcp_segment.h"
#include "tests/tools/segment_script/expectation.h"
#include "tests/tools/segment_script/host.h"

namespace millrace::script {
namespace {

const Option* find_timestamps(const std::vector<Option>& options) {
    const auto found = std::find_if(options.begin(), options.end(), [](const Option& option) {
        return !option.raw && option.kind == Option::timestamps && option.value.size() == 8;
    });
    return found == options.end() ? nullptr : &*found;
}

}  // namespace

Packet Flow::to_wire(const SegmentSpec& spec) {
    Packet packet;
    packet.source_port = remote_port;
    packet.destination_port = local_port;
    packet.seq = spec.seq;
    packet.flags = spec.flags;
    packet.ecn = spec.ecn;
    packet.urgent = spec.urgent;
    window = spec.window.value_or(window);
    packet.window = window;
    packet.options = spec.options;
    if (packet.has(wire::tcp_ack)) packet.ack = spec.ack.value_or(0) + offset.value_or(0);
    for (Option& option : packet.options) {
        if (option.raw) continue;
        if (option.kind == Option::sack)
            for (size_t at = 0; at + 4 <= option.value.size(); at += 4)
                set_be32(option.value, at, get_be32(option.value, at) + offset.value_or(0));
        if (option.kind == Option::timestamps && packet.has(wire::tcp_ack)) {
            const uint32_t echo = get_be32(option.value, 4);
            const auto known = timestamps.find(echo);
            if (known != timestamps.end())
                set_be32(option.value, 4, known->second);
            else if (first_timestamp)
                set_be32(option.value, 4, echo - first_timestamp->first + first_timestamp->second);
        }
    }
    const uint32_t first = spec.seq + (packet.has(wire::tcp_syn) ? 1 : 0);
    for (uint32_t i = 0; i < spec.length; ++i) packet.payload.push_back(stream_byte(first + i));
    return packet;
}

uint32_t Flow::script_timestamp(uint32_t on_wire) const {
    return first_timestamp ? on_wire - first_timestamp->second + first_timestamp->first : on_wire;
}

void Flow::learn(const SegmentSpec& spec, const Packet& packet) {
    const Option* stated = find_timestamps(spec.options);
    const Option* actual = find_timestamps(packet.options);
    if (stated == nullptr || actual == nullptr) return;
    const std::pair<uint32_t, uint32_t> values(get_be32(stated->value, 0), get_be32(actual->value, 0));
    timestamps[values.first] = values.second;
    if (!first_timestamp || packet.has(wire::tcp_syn)) first_timestamp = values;
}

std::string Flow::describe(const Packet& packet) const {
    SegmentSpec spec;
    spec.ports = {packet.source_port, packet.destination_port};
    if (packet.source_port == local_port && packet.destination_port == remote_port) spec.ports.reset();
    spec.ecn_check = packet.ecn == 0 ? EcnCheck::none : EcnCheck::exact;
    spec.ecn = packet.ecn;
    spec.flags = packet.flags;
    spec.seq = packet.seq - offset.value_or(0);
    spec.length = static_cast<uint32_t>(packet.payload.size());
    if (packet.has(wire::tcp_ack)) spec.ack = packet.ack;
    spec.window = packet.window;
    spec.urgent = packet.urgent;
    spec.options = packet.options;
    for (Option& option : spec.options)
        if (option.kind == Option::timestamps && option.value.size() == 8)
            set_be32(option.value, 0, script_timestamp(get_be32(option.value, 0)));
    return text_of(spec);
}

}  // namespace millrace::script
