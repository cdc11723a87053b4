#include "dataplane/relay/control_link.h"

namespace millrace::relay {

void ControlLink::attach(const CommandsFile* commands, uint32_t worker) {
    commands_ = commands;
    if (commands == nullptr) return;
    const WorkerCommandRing& ring = commands->rings[worker];
    // A new file's positions start at 0 on its side; ours must agree before control looks at them.
    events_->request_consumed.value.store(ring.produced.value.load(std::memory_order_acquire),
                                          std::memory_order_release);
    events_->reply_produced.value.store(ring.reply_consumed.value.load(std::memory_order_acquire),
                                        std::memory_order_release);
    requests_ = MessageRingConsumer(std::span(ring.data), &ring.produced, &events_->request_consumed);
    replies_ = MessageRingProducer(std::span(events_->replies), &events_->reply_produced, &ring.reply_consumed);
}

}  // namespace millrace::relay
