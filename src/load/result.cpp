#include "load/result.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace millrace::load {
namespace {

using Json = nlohmann::ordered_json;

double ratio(double part, double whole) {
    return whole > 0 ? part / whole : 0;
}

double rounded(double value, double places) {
    return std::round(value * places) / places;
}

double work_seconds(const Figures& f) {
    return static_cast<double>(f.work_ended - std::min(f.work_ended, f.work_began)) / 1e6;
}

/// What the workload is about: replies, pushes, large messages, sessions; of `idle` the connections opened.
uint64_t things_done(const Run& run) {
    const Figures& f = run.figures();
    switch (run.settings().workload) {
        case WorkloadKind::storm:
            return f.sessions;
        case WorkloadKind::idle:
            return f.connections.upgraded;
        case WorkloadKind::bulk:
            return f.bulk_arrived;
        case WorkloadKind::echo:
        case WorkloadKind::push:
        case WorkloadKind::bell:
        case WorkloadKind::mix:
            break;
    }
    // A server's end alone sees only what it has sent.
    if (!run.settings().client) return run.messages().sent;
    return run.settings().workload == WorkloadKind::echo ? f.requests_answered : f.pushes_arrived;
}

/// Seconds in which they were done.
double seconds_of(const Run& run) {
    const Figures& f = run.figures();
    if (run.settings().workload == WorkloadKind::idle) return f.ramp_seconds();
    if (run.settings().workload == WorkloadKind::bell) return static_cast<double>(f.bell_drain_us) / 1e6;
    return work_seconds(f);
}

struct Generator {
    double busy_share, cycles_per_message, device_share;
};

Generator generator_of(const Run& run) {
    const Cycles& c = run.figures().cycles;
    const auto busy = static_cast<double>(c.busy), device = static_cast<double>(c.device);
    return {ratio(busy + device, busy + device + static_cast<double>(c.idle)),
            ratio(busy, static_cast<double>(things_done(run))), ratio(device, busy + device)};
}

Json percentiles(const Histogram& h) {
    return {{"p50", h.percentile(50)},     {"p90", h.percentile(90)},       {"p99", h.percentile(99)},
            {"p99.9", h.percentile(99.9)}, {"p99.99", h.percentile(99.99)}, {"max", h.max()}};
}

std::string line(const char* format, auto... values) {
    char text[240];
    std::snprintf(text, sizeof text, format, values...);
    return std::string(text) + "\n";
}

unsigned long long wide(uint64_t value) {
    return value;
}

std::string latency_line(const char* what, const Histogram& h) {
    return line("%-12s p50 %llu, p90 %llu, p99 %llu, p99.9 %llu, p99.99 %llu, max %llu us", what,
                wide(h.percentile(50)), wide(h.percentile(90)), wide(h.percentile(99)), wide(h.percentile(99.9)),
                wide(h.percentile(99.99)), wide(h.max()));
}

/// The ends of clients hold their keys, too.
size_t record_bytes(const Run& run) {
    return sizeof(Connection) + (run.engine().handshakes() == nullptr ? 0 : sizeof(TlsEnd));
}

std::string handshake_lines(const HandshakeFigures& h) {
    std::string text = line("handshakes   %llu done, %llu of them resumed; %llu failed%s%s", wide(h.done),
                            wide(h.resumed), wide(h.failed), h.failed == 0 ? "" : ", the latest by: ", h.error.c_str());
    return text + latency_line("handshake", h.duration);
}

Json handshake_object(const HandshakeFigures& h) {
    return {{"done", h.done}, {"resumed", h.resumed}, {"failed", h.failed}, {"us", percentiles(h.duration)}};
}

const char* role_name(const Settings& settings) {
    return settings.both() ? "both" : settings.client ? "client" : "server";
}

}  // namespace

const char* name(WorkloadKind workload) {
    constexpr const char* names[] = {"idle", "echo", "push", "bell", "storm", "bulk", "mix"};
    return names[static_cast<size_t>(workload)];
}

std::string summary(const Run& run) {
    const Figures& f = run.figures();
    const MessageCounts& m = run.messages();
    const ConnectionCounts& c = f.connections;
    const Generator g = generator_of(run);
    std::string text = line("%s: %s", name(run.settings().workload),
                            run.succeeded()     ? "all went well"
                            : f.trouble.empty() ? "something went wrong; see below"
                                                : f.trouble.c_str());
    text += line("connections  %llu asked, %llu upgraded, %llu failed, %llu closed by the peer, %llu proven alive",
                 wide(c.asked), wide(c.upgraded), wide(c.failed), wide(c.closed_by_peer), wide(c.proven_alive));
    text += latency_line("connecting", f.connect);
    if (const Handshakes* handshakes = run.engine().handshakes()) text += handshake_lines(handshakes->figures());
    text += line(
        "messages     %llu sent, %llu received; %llu lost, %llu duplicated, %llu reordered, %llu corrupted, "
        "%llu crossed",
        wide(m.sent), wide(m.received), wide(m.lost), wide(m.duplicated), wide(m.reordered), wide(m.corrupted),
        wide(m.crossed));
    text += latency_line("latency", f.latency);
    const double seconds = seconds_of(run);
    text += line("rate         %.0f a second over %.3f s; %llu sessions, %llu bytes of payload received",
                 ratio(static_cast<double>(things_done(run)), seconds), seconds, wide(f.sessions), wide(m.bytes));
    text += line(
        "generator    busy %.0f %% of the time (%.0f %% of that in the device's calls), %.0f cycles each; %.0f "
        "bytes for each end of a connection",
        100 * g.busy_share, 100 * g.device_share, g.cycles_per_message,
        ratio(static_cast<double>(f.connection_bytes), static_cast<double>(f.ends)));
    return text;
}

std::string json_object(const Run& run) {
    const Figures& f = run.figures();
    const MessageCounts& m = run.messages();
    const ConnectionCounts& c = f.connections;
    const Generator g = generator_of(run);
    const double seconds = seconds_of(run);
    Json object = {
        {"workload", name(run.settings().workload)},
        {"role", role_name(run.settings())},
        {"connections",
         {{"asked", c.asked},
          {"upgraded", c.upgraded},
          {"failed", c.failed},
          {"closed_by_peer", c.closed_by_peer},
          {"proven_alive", c.proven_alive}}},
        {"messages",
         {{"sent", m.sent},
          {"received", m.received},
          {"lost", m.lost},
          {"duplicated", m.duplicated},
          {"reordered", m.reordered},
          {"corrupted", m.corrupted},
          {"crossed", m.crossed}}},
        {"latency_us", percentiles(f.latency)},
        {"connect_us", percentiles(f.connect)},
        {"work_s", {static_cast<double>(f.work_began) / 1e6, static_cast<double>(f.work_ended) / 1e6}},
        {"seconds", rounded(seconds, 1e6)},
        {"rate_per_s", rounded(ratio(static_cast<double>(things_done(run)), seconds), 10)},
        {"bell_drain_s", rounded(static_cast<double>(f.bell_drain_us) / 1e6, 1e6)},
        {"sessions", f.sessions},
        {"bytes", m.bytes},
        {"generator",
         {{"busy_share", rounded(g.busy_share, 1e4)},
          {"cycles_per_message", rounded(g.cycles_per_message, 10)},
          {"device_share", rounded(g.device_share, 1e4)},
          {"bytes_per_connection",
           rounded(ratio(static_cast<double>(f.connection_bytes), static_cast<double>(f.ends)), 10)},
          {"connection_record_bytes", record_bytes(run)}}},
    };
    if (const Handshakes* handshakes = run.engine().handshakes())
        object["tls_handshakes"] = handshake_object(handshakes->figures());
    return object.dump();
}

}  // namespace millrace::load
