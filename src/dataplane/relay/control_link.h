// One worker's end of the shared files: server states and requests in, events and answers out. Hides where they lie, so
// that a test can stand in for the control process. Every field that comes from control is checked here or clamped.
#pragma once

#include <cstdint>
#include <span>

#include <millrace/commands.h>
#include <millrace/event_ring.h>

namespace millrace::relay {

class ControlLink {
  public:
    /// `events` is this worker's part of the file that the dataplane made; it must outlive the link.
    explicit ControlLink(WorkerEvents* events) : events_(events), writer_(events) {}

    /// Follows (or leaves, with null) the file `commands`; `worker` is this worker's number. Between two bursts only.
    void attach(const CommandsFile* commands, uint32_t worker);

    /// The state of a server slot; the default (enabled, unknown, the snapshot's weight) while control never ran.
    ServerControl::Value server(uint16_t slot) const {
        if (commands_ == nullptr) return {};
        return ServerControl::unpack(commands_->servers[slot].word.load(std::memory_order_relaxed));
    }

    /// Takes the next request. False when there is none.
    bool next_request(MessageHeader& header, std::span<std::byte> payload) {
        return commands_ != nullptr && requests_.pop(header, payload);
    }

    /// Puts an answer into the reply ring. False when there is no room, with `spare` bytes left over: try again later,
    /// or drop it.
    bool reply(MessageType type, uint64_t request_id, std::span<const std::byte> payload, uint32_t spare = 0) {
        return commands_ != nullptr && replies_.push(static_cast<uint16_t>(type), request_id, payload, spare);
    }

    /// Payload bytes that the next reply may have.
    uint32_t reply_room() const { return commands_ == nullptr ? 0 : replies_.room(); }

    /// Writes an event over the oldest one. Fills in the sequence number.
    void write(const RelayEvent& event) { writer_.push(event); }

    uint64_t malformed() const { return requests_.malformed(); }
    bool attached() const { return commands_ != nullptr; }

  private:
    WorkerEvents* events_;
    EventWriter writer_;
    const CommandsFile* commands_ = nullptr;
    MessageRingConsumer requests_;
    MessageRingProducer replies_;
};

}  // namespace millrace::relay
