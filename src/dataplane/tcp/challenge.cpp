#include "dataplane/tcp/challenge.h"

#include "dataplane/base/fault.h"
#include "dataplane/tcp/extension.h"

namespace millrace::tcp {
bool challenge_allowed(const Context& ctx) {
    ChallengeBudget& budget = ctx.budgets.challenges;
    const TimeUs second = ctx.now / us_per_s + 1;
    if (budget.second != second) {
        // Half to one and a half of the setting: an attacker who counts answers learns nothing from reaching the end.
        SipHash<1, 3> jitter(ctx.secrets.tables);
        const uint32_t limit = ctx.options.challenge_acks_per_second;
        budget.second = second;
        budget.left = limit / 2 + static_cast<uint32_t>(jitter.finish(second) % (uint64_t{limit} + 1));
    }
    if (budget.left == 0 && !fault(Fault::tcp_challenge_unlimited)) {
        ++ctx.counters.challenge_acks_limited;
        return false;
    }
    --budget.left;
    ++ctx.counters.challenge_acks;
    return true;
}

bool challenge_allowed(const Context& ctx, Endpoint ep) {
    if (ctx.options.challenge_interval_ms == 0) return challenge_allowed(ctx);
    const Extension* known = extension(ctx, ep);
    if (known != nullptr && challenge_remembered(ctx, *known) && !fault(Fault::tcp_challenge_unlimited)) {
        ++ctx.counters.challenge_acks_limited;
        return false;
    }
    if (!challenge_allowed(ctx)) return false;
    // Without a chunk to remember it in, the worker's budget alone is the limit.
    if (Extension* state = ensure_extension(ctx, ep)) {
        state->challenged = 1;
        state->challenged_ms = static_cast<uint32_t>(ctx.now / us_per_ms);
    }
    return true;
}

}  // namespace millrace::tcp
