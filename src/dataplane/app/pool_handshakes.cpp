#include "dataplane/app/pool_handshakes.h"

namespace millrace::app {

static_assert(relay::handshake_step_bytes == tls::step_input_bytes_max);

relay::Handshakes::Answer PoolHandshakes::answer(uint16_t seat) const {
    const tls::Pool::Answer answer = pool_.answer(worker_, seat);
    const State state = answer.state == tls::Handshake::State::done     ? State::done
                        : answer.state == tls::Handshake::State::failed ? State::failed
                                                                        : State::under_way;
    return {.state = state,
            .output = answer.output,
            .slot = answer.slot,
            .leftover = answer.leftover,
            .resumed = answer.resumed};
}

}  // namespace millrace::app
