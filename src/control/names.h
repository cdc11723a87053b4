// The names behind slots, for events and connections that outlive the configuration which named them: a slot keeps its
// last owner's name until another owner has it. Immutable once shared, so that the API's threads need no lock.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <millrace/limits.h>
#include <millrace/snapshot.h>

namespace millrace::control {

class Names {
  public:
    Names() : listeners_(listener_slot_max), backends_(server_slot_max), servers_(server_slot_max) {}

    /// A copy that also knows what `snapshot` names.
    std::shared_ptr<const Names> with(const SnapshotView& snapshot) const {
        auto next = std::make_shared<Names>(*this);
        for (const ListenerRecord& listener : snapshot.listeners())
            next->listeners_[listener.slot] = snapshot.text(listener.name);
        for (const ServerRecord& server : snapshot.servers()) {
            next->backends_[server.slot] = snapshot.text(snapshot.backends()[server.backend].name);
            next->servers_[server.slot] = snapshot.text(server.name);
        }
        return next;
    }

    /// Each is empty for a slot that never had an owner, and for no_slot.
    std::string listener(uint16_t slot) const { return at(listeners_, slot); }
    std::string server(uint16_t slot) const { return at(servers_, slot); }
    std::string backend_of_server(uint16_t slot) const { return at(backends_, slot); }

  private:
    static std::string at(const std::vector<std::string>& names, uint16_t slot) {
        return slot < names.size() ? names[slot] : std::string();
    }

    std::vector<std::string> listeners_;
    std::vector<std::string> backends_;  // by server slot
    std::vector<std::string> servers_;
};

}  // namespace millrace::control
