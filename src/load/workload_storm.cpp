#include "load/workload_storm.h"

#include <algorithm>

namespace millrace::load {
namespace {

constexpr uint32_t opens_per_round = 16;
constexpr uint32_t storm_of_mix = 256;  // sessions of it at once
constexpr TimeUs await_us_max = us_per_s;

}  // namespace

void Storm::start(TimeUs now) {
    began_ = now;
    ends_at_ = now + static_cast<TimeUs>(run_.settings().seconds * 1e6);
}

bool Storm::poll(TimeUs now) {
    if (now >= ends_at_ || !run_.settings().client) return false;
    const double due = rate_ == 0 ? 1e18 : static_cast<double>(now - began_) * rate_ / 1e6;
    const uint64_t at_once = awaits_session(now) ? 1 : at_once_;
    uint32_t opened = 0;
    while (opened < opens_per_round && live_ < at_once && static_cast<double>(opened_) < due &&
           run_.engine().can_send()) {
        if (!run_.open(true)) break;
        ++opened_;
        ++live_;
        ++opened;
    }
    return opened != 0;
}

/// One after the other while there is no session to offer, else the first ones could resume none; but not for ever,
/// since a server may give none.
bool Storm::awaits_session(TimeUs now) const {
    const Handshakes* handshakes = run_.engine().handshakes();
    return handshakes != nullptr && handshakes->awaits_session() && now - began_ < await_us_max;
}

void Storm::on_upgraded(Ref ref) {
    if (ref.role() == Role::client) run_.engine().close(ref, run_.settings().close_by_reset);
}

void Storm::on_end(Ref ref, Phase phase, End end) {
    if (ref.role() != Role::client) return;
    live_ -= std::min<uint64_t>(live_, 1);
    if (phase == Phase::closing && end == End::closed) ++run_.figures().sessions;
}

Mix::Mix(Run& run) : run_(run), push_(run), storm_(run, run.settings().ramp_rate, storm_of_mix) {}

void Mix::start(TimeUs now) {
    push_.start(now);
    storm_.start(now);
}

bool Mix::poll(TimeUs now) {
    const bool pushed = push_.poll(now);
    return storm_.poll(now) || pushed;
}

void Mix::on_upgraded(Ref ref) {
    if (run_.engine().at(ref).has(flag_transient)) storm_.on_upgraded(ref);
}

void Mix::on_end(Ref ref, Phase phase, End end) {
    if (run_.engine().at(ref).has(flag_transient)) storm_.on_end(ref, phase, end);
}

}  // namespace millrace::load
