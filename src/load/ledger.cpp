#include "load/ledger.h"

namespace millrace::load {

bool Ledger::note_received(Connection& connection, Role role, const Message& message) {
    const bool toward_server = message.kind() == Kind::request || message.kind() == Kind::bulk;
    const bool toward_client = message.kind() != Kind::request;
    if (!(role == Role::server ? toward_server : toward_client)) {
        ++counts_.corrupted;
        return false;
    }
    if (message.id != connection.id) {
        ++counts_.crossed;
        return false;
    }
    if (message.sequence < connection.received) {
        if (missing_.erase(name(role, message.id, message.sequence)) == 0) {
            ++counts_.duplicated;
            return false;
        }
        --counts_.lost;
        ++counts_.reordered;
    } else {
        counts_.lost += message.sequence - connection.received;
        for (uint32_t gap = connection.received; gap != message.sequence && missing_.size() < missing_max; ++gap)
            missing_.insert(name(role, message.id, gap));
        connection.received = message.sequence + 1;
    }
    ++counts_.received;
    counts_.bytes += message.length;
    return true;
}

}  // namespace millrace::load
