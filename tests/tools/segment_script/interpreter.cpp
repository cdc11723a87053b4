#include "tests/tools/segment_script/interpreter.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <map>

#include "dataplane/wire/tcp_segment.h"
#include "tests/tools/segment_script/expectation.h"
#include "tests/tools/segment_script/flow.h"
#include "tests/tools/segment_script/settings.h"
#include "tests/tools/segment_script/sockets.h"

namespace millrace::script {
namespace {

constexpr size_t history_max = 12;
constexpr int64_t forever_us = 4LL * 3600 * 1'000'000;

std::string seconds(int64_t us) {
    char text[40];
    std::snprintf(text, sizeof text, "%.6f", static_cast<double>(us) / 1e6);
    return text;
}

class Interpreter {
  public:
    Interpreter(const Script& script, std::string file, const Settings& settings);

    Report run();

  private:
    struct Blocked {
        const Event* event;
        const Call* call;
        int64_t ends_us;
    };

    int64_t now() const { return static_cast<int64_t>(host_.now() - start_); }
    bool fail(int line, const std::string& what, std::vector<std::string> more = {});
    bool skip(int line, const std::string& what);
    void note(const std::string& what);

    bool run_event(const Event& event);
    bool run_until(int64_t us);
    bool run_step(int64_t until);
    bool reach(const Event& event);
    bool inbound(const Event& event, const SegmentSpec& spec);
    bool icmp(const Event& event, const IcmpSpec& spec);
    bool outbound(const Event& event, const SegmentSpec& spec);
    void await_rest(SentPacket& sent, const SegmentSpec& spec, int64_t until);
    bool call(const Event& event, const Call& call);
    bool finish_blocked();
    bool retry_blocked();
    bool judge(const Event& event, const Call& call, const Outcome& outcome);
    bool finish();
    Flow& flow_of(const SegmentSpec& spec);
    Flow& flow(uint16_t local_port, uint16_t remote_port);

    const Script& script_;
    std::string file_;
    Settings settings_;
    Host host_;
    Sockets sockets_;
    TimeUs start_;
    Report report_;
    std::deque<Flow> flows_;
    Flow* current_;
    std::optional<Blocked> blocked_;
    std::deque<std::string> history_;
    int64_t previous_us_ = 0;
};

HostSettings host_settings(const Settings& settings) {
    HostSettings host = settings.host;
    if (settings.local_isn)
        host.start =
            clock_for_iss({host.local, host.remote, settings.bind_port, settings.peer_port}, *settings.local_isn);
    return host;
}

Interpreter::Interpreter(const Script& script, std::string file, const Settings& settings)
    : script_(script),
      file_(std::move(file)),
      settings_(settings),
      host_(host_settings(settings)),
      sockets_(host_, settings.bind_port, settings.connect_port),
      start_(host_.now()) {
    current_ = &flow(settings.bind_port, settings.peer_port);
}

// ---- reporting

bool Interpreter::fail(int line, const std::string& what, std::vector<std::string> more) {
    report_.verdict = Verdict::failed;
    report_.lines.push_back(file_ + ":" + std::to_string(line) + ": " + what);
    for (std::string& text : more) report_.lines.push_back("    " + std::move(text));
    if (!history_.empty()) report_.lines.push_back("  what happened before:");
    for (const std::string& text : history_) report_.lines.push_back("    " + text);
    return false;
}

bool Interpreter::skip(int line, const std::string& what) {
    if (report_.verdict == Verdict::passed) report_.verdict = Verdict::skipped;
    report_.lines.push_back(file_ + ":" + std::to_string(line) + ": skipped: " + what);
    return false;
}

void Interpreter::note(const std::string& what) {
    history_.push_back(seconds(now()) + "  " + what);
    if (history_.size() > history_max) history_.pop_front();
}

// ---- the run

Report Interpreter::run() {
    for (const Problem& ignored : settings_.ignored) skip(ignored.line, ignored.reason);
    if (!script_.set_up.empty()) skip(1, "shell commands are not run");
    for (const Event& event : script_.events)
        if (!run_event(event)) return std::move(report_);
    if (script_.problem)
        skip(script_.problem->line, script_.problem->reason + "; the rest was not run");
    else
        finish();
    return std::move(report_);
}

bool Interpreter::run_event(const Event& event) {
    bool good = true;
    if (const auto* segment = std::get_if<SegmentSpec>(&event.action)) {
        good = segment->inbound ? inbound(event, *segment) : outbound(event, *segment);
    } else if (const auto* error = std::get_if<IcmpSpec>(&event.action)) {
        good = icmp(event, *error);
    } else if (const auto* function = std::get_if<Call>(&event.action)) {
        good = call(event, *function);
    } else {
        const bool python = std::get<Command>(event.action).python;
        good = reach(event);
        if (good) skip(event.line, python ? "Python blocks are not run" : "shell commands are not run");
    }
    previous_us_ = now();
    if (good && !host_.violations().empty()) return fail(event.line, host_.violations().front());
    return good;
}

/// One thing that is due, or the clock to `until`; false when that was all.
bool Interpreter::run_step(int64_t until) {
    return host_.run_next(start_ + static_cast<TimeUs>(until));
}

/// Runs the clock up to `us`, with all that is due then.
bool Interpreter::run_until(int64_t us) {
    while (run_step(us))
        if (!retry_blocked()) return false;
    return true;
}

/// Lets time pass up to an event that is not the stack's.
bool Interpreter::reach(const Event& event) {
    const int64_t at = event.time.us + (event.time.relative() ? now() : 0);
    if (now() > at + settings_.tolerance_us)
        return fail(event.line, "it is " + seconds(now()) + " already, not " + seconds(at));
    return run_until(std::max(at, now()));
}

Flow& Interpreter::flow(uint16_t local_port, uint16_t remote_port) {
    for (Flow& known : flows_)
        if (known.local_port == local_port && known.remote_port == remote_port) return known;
    return flows_.emplace_back(local_port, remote_port);
}

Flow& Interpreter::flow_of(const SegmentSpec& spec) {
    if (!spec.ports) return *current_;
    const auto [source, destination] = *spec.ports;
    return spec.inbound ? flow(destination, source) : flow(source, destination);
}

bool Interpreter::inbound(const Event& event, const SegmentSpec& spec) {
    if (!reach(event)) return false;
    current_ = &flow_of(spec);
    Flow& flow = *current_;
    const bool opens = (spec.flags & (wire::tcp_syn | wire::tcp_ack | wire::tcp_rst)) == wire::tcp_syn;
    if (opens && !host_.knows(flow.local_port, flow.remote_port)) flow.fresh = true;
    Packet packet = flow.to_wire(spec);
    packet.source = settings_.host.remote;
    packet.destination = settings_.host.local;
    note("< " + text_of(spec));
    host_.receive(write_frame(packet));
    return retry_blocked();
}

bool Interpreter::icmp(const Event& event, const IcmpSpec& spec) {
    if (!reach(event)) return false;
    Packet sent;
    sent.source = settings_.host.local;
    sent.destination = settings_.host.remote;
    sent.source_port = current_->local_port;
    sent.destination_port = current_->remote_port;
    sent.seq = spec.seq + current_->offset.value_or(0);
    const auto frame = write_icmp_frame(spec, sent);
    if (!frame) return skip(event.line, "icmp " + spec.type + " " + spec.code + "; the rest was not run");
    note("< icmp " + spec.type + " " + spec.code);
    host_.receive(*frame);
    return retry_blocked();
}

// ---- what the stack sends

/// Without strict segments: what one segment of the script says may come as several.
void Interpreter::await_rest(SentPacket& sent, const SegmentSpec& spec, int64_t until) {
    std::deque<SentPacket>& waiting = host_.sent();
    const auto plain = [](uint8_t flags) { return flags & ~(wire::tcp_psh | wire::tcp_fin); };
    Packet& whole = sent.packet;
    while (!whole.payload.empty() && whole.payload.size() < spec.length && !whole.has(wire::tcp_fin)) {
        while (waiting.empty() && run_step(until)) {
        }
        if (waiting.empty()) return;
        const Packet& next = waiting.front().packet;
        const bool follows = next.seq == whole.seq + whole.payload.size() && plain(next.flags) == plain(whole.flags) &&
                             next.ack == whole.ack && !next.payload.empty() &&
                             next.destination_port == whole.destination_port &&
                             whole.payload.size() + next.payload.size() <= spec.length;
        if (!follows) return;
        whole.payload.insert(whole.payload.end(), next.payload.begin(), next.payload.end());
        whole.flags |= next.flags;
        waiting.pop_front();
    }
}

bool Interpreter::outbound(const Event& event, const SegmentSpec& spec) {
    const int64_t base = event.time.relative() ? now() : 0;
    const bool any = event.time.kind == TimeKind::any;
    const bool range = event.time.kind == TimeKind::absolute_range || event.time.kind == TimeKind::relative_range;
    const int64_t from = any ? 0 : base + event.time.us;
    const int64_t to = any ? now() + forever_us : range ? base + event.time.end_us : from;
    const auto percent =
        static_cast<int64_t>(settings_.tolerance_percent / 100 * static_cast<double>(from - previous_us_));
    const int64_t tolerance = std::max(settings_.tolerance_us, percent);
    const std::string when = any     ? "at any time"
                             : range ? "at " + seconds(from) + "~" + seconds(to)
                                     : "at " + seconds(from);

    std::deque<SentPacket>& waiting = host_.sent();
    while (waiting.empty() && run_step(std::max(to + tolerance, now())))
        if (!retry_blocked()) return false;
    if (waiting.empty())
        return fail(event.line, "the stack sent nothing", {"expected " + when + "  > " + text_of(spec)});
    SentPacket sent = std::move(waiting.front());
    waiting.pop_front();
    if (!settings_.strict_segments) await_rest(sent, spec, to + tolerance);

    const int64_t at = static_cast<int64_t>(sent.at - start_);
    Flow& flow = flow_of(spec);
    if (sent.packet.has(wire::tcp_syn) && flow.fresh && (spec.flags & wire::tcp_syn) != 0) {
        flow.offset = sent.packet.seq - spec.seq;
        flow.fresh = false;
    }
    std::vector<std::string> differences = compare(spec, sent.packet, flow, settings_.ts_tick_us, tolerance);
    if (!any && (at < from - tolerance || at > to + tolerance))
        differences.insert(differences.begin(), "sent at " + seconds(at) + ", not " + when);
    const std::string actual = flow.describe(sent.packet);
    if (!differences.empty()) {
        std::vector<std::string> lines = {"expected " + when + "  > " + text_of(spec),
                                          "actual   at " + seconds(at) + "  > " + actual};
        for (const std::string& difference : differences) lines.push_back("not the same: " + difference);
        return fail(event.line, "the stack sent something else", lines);
    }
    flow.learn(spec, sent.packet);
    current_ = &flow;
    note("> " + actual);
    return true;
}

// ---- calls

bool Interpreter::call(const Event& event, const Call& call) {
    if (!finish_blocked() || !reach(event)) return false;
    note(call.function + "()");
    const int64_t base = event.time.relative() ? now() - event.time.us : 0;
    const Outcome outcome = sockets_.call(call, false);
    if (const auto ports = sockets_.opened()) {
        current_ = &flow(ports->first, ports->second);
        current_->fresh = true;
    }
    if (outcome.kind != Outcome::Kind::blocks) {
        if (call.ends_us && outcome.kind == Outcome::Kind::done &&
            base + *call.ends_us > now() + settings_.tolerance_us)
            return fail(event.line, call.function + "() did not block until " + seconds(base + *call.ends_us));
        return judge(event, call, outcome);
    }
    if (!call.ends_us) return fail(event.line, call.function + "() blocks");
    blocked_ = {&event, &call, base + *call.ends_us};
    return true;
}

/// A call that blocks, tried again after everything that happens.
bool Interpreter::retry_blocked() {
    if (!blocked_) return true;
    const auto [event, call, ends_us] = *blocked_;
    const Outcome outcome = sockets_.call(*call, true);
    if (outcome.kind == Outcome::Kind::blocks) return true;
    blocked_.reset();
    if (now() < ends_us - settings_.tolerance_us || now() > ends_us + settings_.tolerance_us)
        return fail(event->line, call->function + "() returned at " + seconds(now()) + ", not " + seconds(ends_us));
    return judge(*event, *call, outcome);
}

bool Interpreter::finish_blocked() {
    if (!blocked_) return true;
    const Blocked blocked = *blocked_;
    const int64_t until = blocked.ends_us + settings_.tolerance_us;
    while (blocked_ && run_step(std::max(until, now())))
        if (!retry_blocked()) return false;
    if (!blocked_) return true;
    return fail(blocked.event->line, blocked.call->function + "() still blocks at " + seconds(now()));
}

bool Interpreter::judge(const Event& event, const Call& call, const Outcome& outcome) {
    if (outcome.kind == Outcome::Kind::unsupported)
        return skip(event.line, outcome.reason + " is not supported; the rest was not run");
    if (!outcome.mismatch.empty()) return fail(event.line, call.function + "(): " + outcome.mismatch);
    const bool any = call.result.kind == Value::Kind::ellipsis;
    if (!any && call.result.kind != Value::Kind::number)
        return skip(event.line, "a result that is no number; the rest was not run");
    const std::string wanted = call.error == "EWOULDBLOCK" ? "EAGAIN" : call.error;
    if (any || (outcome.result == call.result.number && (wanted.empty() || outcome.error == wanted))) return true;
    return fail(event.line, call.function + "() = " + std::to_string(outcome.result) + " " + outcome.error + ", not " +
                                std::to_string(call.result.number) + " " + call.error);
}

bool Interpreter::finish() {
    if (!finish_blocked()) return false;
    if (!host_.violations().empty()) return fail(script_.events.back().line, host_.violations().front());
    const auto* last = std::get_if<Call>(&script_.events.back().action);
    std::deque<SentPacket>& waiting = host_.sent();
    if (last != nullptr && last->function == "close")
        std::erase_if(waiting, [this](const SentPacket& sent) { return sent.at == host_.now(); });
    if (waiting.empty()) return true;
    std::vector<std::string> lines;
    for (const SentPacket& sent : waiting)
        lines.push_back("actual   at " + seconds(static_cast<int64_t>(sent.at - start_)) + "  > " +
                        flow(sent.packet.source_port, sent.packet.destination_port).describe(sent.packet));
    return fail(script_.events.back().line, "the script ended, but the stack had sent more", lines);
}

/// The window scale that we offer, and whether we ask for ECN, is our own choice, so a script that does not set them
/// gets what it expects: settings are applied later.
void adopt_offer(const Script& script, tcp::Options& options) {
    for (const Event& event : script.events) {
        const auto* segment = std::get_if<SegmentSpec>(&event.action);
        if (segment == nullptr || segment->inbound || (segment->flags & wire::tcp_syn) == 0) continue;
        options.ecn = (segment->flags & wire::tcp_ece) != 0;
        for (const Option& option : segment->options)
            if (option.kind == Option::window_scale && option.value[0] <= 14) options.window_scale = option.value[0];
        return;
    }
}

}  // namespace

Report run(const Script& script, const std::string& file, const std::vector<Setting>& settings) {
    Report report;
    Settings all;
    std::string reason;
    const auto stop = [&](int line, Verdict verdict, const std::string& what) {
        report.verdict = verdict;
        report.lines.push_back(file + ":" + std::to_string(line) + ": " + what);
        return report;
    };
    if (script.problem && script.problem->malformed)
        return stop(script.problem->line, Verdict::failed, script.problem->reason);
    adopt_offer(script, all.host.tcp);
    for (const Setting& setting : settings)
        if (!all.apply(setting, reason)) return stop(0, Verdict::failed, reason);
    for (const Setting& setting : script.settings)
        if (!all.apply(setting, reason)) return stop(setting.line, Verdict::skipped, "skipped: " + reason);
    if (script.events.empty())
        return stop(script.problem->line, Verdict::skipped, "skipped: " + script.problem->reason);
    return Interpreter(script, file, all).run();
}

}  // namespace millrace::script
