#include "tests/tools/segment_script/expectation.h"

#include <algorithm>
#include <cstdlib>

#include "dataplane/wire/tcp_segment.h"

namespace millrace::script {
namespace {

const char* ecn_text(uint8_t ecn) {
    static constexpr const char* names[] = {"noecn", "ect1", "ect0", "ce"};
    return names[ecn & 3];
}

/// Options that mean something, in a fixed order. Our TSval is replaced by the script's where it may differ.
std::vector<Option> essential(std::vector<Option> options) {
    std::erase_if(options, [](const Option& option) { return !option.raw && option.kind <= Option::nop; });
    std::stable_sort(options.begin(), options.end(), [](const Option& a, const Option& b) { return a.kind < b.kind; });
    return options;
}

bool same_options(const SegmentSpec& spec, const Packet& packet, const Flow& flow, int64_t ts_tick_us,
                  int64_t tolerance_us) {
    const std::vector<Option> expected = essential(spec.options);
    std::vector<Option> actual = essential(packet.options);
    for (size_t i = 0; i < std::min(expected.size(), actual.size()); ++i) {
        if (expected[i].kind != Option::timestamps || actual[i].kind != Option::timestamps) continue;
        if (actual[i].value.size() != 8 || expected[i].value.size() != 8) continue;
        const uint32_t stated = get_be32(expected[i].value, 0);
        const uint32_t value = flow.first_timestamp ? flow.script_timestamp(get_be32(actual[i].value, 0)) : stated;
        const int64_t off = std::abs(static_cast<int64_t>(static_cast<int32_t>(value - stated)));
        if (packet.has(wire::tcp_syn) || off * ts_tick_us <= tolerance_us) set_be32(actual[i].value, 0, stated);
    }
    return expected == actual;
}

}  // namespace

std::vector<std::string> compare(const SegmentSpec& spec, const Packet& packet, const Flow& flow, int64_t ts_tick_us,
                                 int64_t tolerance_us) {
    std::vector<std::string> out;
    const auto number = [&](const char* what, uint32_t actual, uint32_t expected) {
        if (actual != expected)
            out.push_back(std::string(what) + " " + std::to_string(actual) + ", not " + std::to_string(expected));
    };
    number("source port", packet.source_port, flow.local_port);
    number("destination port", packet.destination_port, flow.remote_port);
    if (packet.flags != spec.flags)
        out.push_back("flags " + flags_text(packet.flags) + ", not " + flags_text(spec.flags));
    number("sequence number", packet.seq - flow.offset.value_or(0), spec.seq);
    number("payload bytes", static_cast<uint32_t>(packet.payload.size()), spec.length);
    if (packet.has(wire::tcp_ack) && (spec.flags & wire::tcp_ack) != 0) number("ack", packet.ack, spec.ack.value_or(0));
    if (spec.window) number("win", packet.window, *spec.window);
    number("urgent pointer", packet.urgent, spec.urgent);
    if (spec.ecn_check == EcnCheck::exact && packet.ecn != spec.ecn)
        out.push_back(std::string("ECN ") + ecn_text(packet.ecn) + ", not " + ecn_text(spec.ecn));
    if (spec.ecn_check == EcnCheck::capable && packet.ecn != 1 && packet.ecn != 2)
        out.push_back(std::string("ECN ") + ecn_text(packet.ecn) + ", not ect0 or ect1");
    if (!spec.any_options && !same_options(spec, packet, flow, ts_tick_us, tolerance_us)) out.push_back("options");
    return out;
}

std::string text_of(const SegmentSpec& spec) {
    std::string text;
    if (spec.ecn_check == EcnCheck::exact) text += std::string("[") + ecn_text(spec.ecn) + "] ";
    if (spec.ecn_check == EcnCheck::capable) text += "[ect01] ";
    if (spec.ports) text += std::to_string(spec.ports->first) + " > " + std::to_string(spec.ports->second) + " ";
    text += flags_text(spec.flags) + " " + std::to_string(spec.seq) + ":" + std::to_string(spec.seq + spec.length) +
            "(" + std::to_string(spec.length) + ")";
    if (spec.ack) text += " ack " + std::to_string(*spec.ack);
    if (spec.window) text += " win " + std::to_string(*spec.window);
    if (spec.urgent != 0) text += " urg " + std::to_string(spec.urgent);
    if (spec.any_options) return text + " <...>";
    const std::string options = options_text(spec.options);
    return options.empty() ? text : text + " " + options;
}

}  // namespace millrace::script
