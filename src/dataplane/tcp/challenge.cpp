#include "dataplane/tcp/challenge.h"

namespace millrace::tcp {

bool challenge_allowed(const Context& ctx) {
    ChallengeBudget& budget = ctx.challenges;
    const TimeUs second = ctx.now / us_per_s + 1;
    if (budget.second != second) {
        // Half to one and a half of the setting: an attacker who counts answers learns nothing from reaching the end.
        SipHash<1, 3> jitter(ctx.secrets.tables);
        const uint32_t limit = ctx.options.challenge_acks_per_second;
        budget.second = second;
        budget.left = limit / 2 + static_cast<uint32_t>(jitter.finish(second) % (uint64_t{limit} + 1));
    }
    if (budget.left == 0) {
        ++ctx.counters.challenge_acks_limited;
        return false;
    }
    --budget.left;
    ++ctx.counters.challenge_acks;
    return true;
}

}  // namespace millrace::tcp
