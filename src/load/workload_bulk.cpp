#include "load/workload_bulk.h"

namespace millrace::load {
namespace {

constexpr uint32_t begins_per_round = 4;

}  // namespace

void Bulk::start(TimeUs now) {
    ends_at_ = now + static_cast<TimeUs>(run_.settings().seconds * 1e6);
}

uint64_t Bulk::outstanding() const {
    if (run_.settings().both()) return sent_ - arrived_;
    return run_.engine().bytes_under_way() == 0 ? 0 : 1;
}

void Bulk::fill(Ref ref) {
    const TimeUs now = run_.engine().now();
    const uint64_t most = uint64_t{run_.settings().depth} * run_.settings().sizes.largest();
    while (now < ends_at_ && run_.engine().is_open(ref) &&
           tcp::send_queue_bytes(run_.engine().at(ref).warm) + run_.settings().sizes.largest() <= most + most / 2) {
        if (!run_.push(ref, Kind::bulk, now)) return;
        ++sent_;
    }
}

bool Bulk::poll(TimeUs now) {
    uint32_t begun = 0;
    for (const Role role : {Role::client, Role::server}) {
        uint32_t& at = at_[static_cast<size_t>(role)];
        for (; now < ends_at_ && at < run_.engine().pool(role).high_water() && begun < begins_per_round;
             ++at, ++begun) {
            const Ref ref = Ref::of(role, at);
            if (run_.engine().is_open(ref) && !run_.engine().at(ref).has(flag_transient)) fill(ref);
        }
    }
    return begun != 0;
}

void Bulk::on_message(Ref, const Message& message) {
    if (message.kind() == Kind::bulk) ++arrived_;
}

void Bulk::on_acknowledged(Ref ref) {
    if (run_.engine().is_open(ref) && !run_.engine().at(ref).has(flag_transient)) fill(ref);
}

}  // namespace millrace::load
