// `show tcp`: both sides of a relay beside each other.
#include "cli/render.h"
#include "cli/table.h"

namespace millrace::cli {
namespace {

/// The member `name` of an object, or null.
const Json& at(const Json& object, const char* name) {
    static const Json null = nullptr;
    return object.is_object() && object.contains(name) ? object[name] : null;
}

std::string text(const Json& value) {
    if (value.is_null()) return "-";
    return value.is_string() ? value.get<std::string>() : value.dump();
}

std::string with_unit(const Json& side, const char* name, const char* unit) {
    const Json& value = at(side, name);
    return value.is_number_unsigned() ? value_text(value.get<uint64_t>(), unit) : "-";
}

std::string options_of(const Json& side) {
    std::string out;
    for (const char* name : {"timestamps", "sack", "ecn"})
        if (at(side, name) == true) out += (out.empty() ? "" : " ") + std::string(name);
    if (at(side, "window_scaling") == true)
        out += (out.empty() ? "" : " ") + std::string("wscale ") + text(at(side, "send_window_scale")) + ',' +
               text(at(side, "receive_window_scale"));
    return out.empty() ? "-" : out;
}

std::string timer_of(const Json& side) {
    if (at(side, "timer").is_null()) return "-";
    const std::string due = at(side, "timer") == "keepalive" ? "" : ", " + text(at(side, "timer_ms")) + " ms";
    return text(at(side, "timer")) + due + ", backoff " + text(at(side, "backoff"));
}

std::string value_of(const Json& side, const std::string& name) {
    if (!side.is_object()) return "-";
    if (name == "options") return options_of(side);
    if (name == "timer") return timer_of(side);
    if (name.ends_with("_us")) return with_unit(side, name.c_str(), "us");
    if (name.ends_with("_bytes")) return with_unit(side, name.c_str(), "bytes");
    return text(at(side, name.c_str()));
}

}  // namespace

std::string render_tcp(const Json& d) {
    const Json &client = at(at(d, "tcp"), "client"), &server = at(at(d, "tcp"), "server");
    Table table({"TCP", "CLIENT", "SERVER"});
    table.add({"peer", text(at(d, "client")), text(at(d, "server_address"))});
    table.add({"local", text(at(d, "local")), text(at(d, "source"))});
    for (const auto& [label, name] : {std::pair{"state", "state"},
                                      std::pair{"options", "options"},
                                      std::pair{"mss", "mss_bytes"},
                                      std::pair{"pmtu", "pmtu_bytes"},
                                      std::pair{"srtt", "srtt_us"},
                                      std::pair{"rttvar", "rttvar_us"},
                                      std::pair{"min rtt", "min_rtt_us"},
                                      std::pair{"rto", "rto_us"},
                                      std::pair{"cwnd", "cwnd_bytes"},
                                      std::pair{"ssthresh", "ssthresh_bytes"},
                                      std::pair{"send window", "send_window_bytes"},
                                      std::pair{"receive window", "receive_window_bytes"},
                                      std::pair{"in flight", "in_flight_bytes"},
                                      std::pair{"unsent", "unsent_bytes"},
                                      std::pair{"sacked", "sacked_bytes"},
                                      std::pair{"lost", "lost_bytes"},
                                      std::pair{"retransmitted", "retransmitted_bytes"},
                                      std::pair{"out of order", "out_of_order_bytes"},
                                      std::pair{"recovery", "recovery"},
                                      std::pair{"timer", "timer"}})
        table.add({label, value_of(client, name), value_of(server, name)});
    return table.text();
}

}  // namespace millrace::cli
