#include "dataplane/tcp/secrets.h"

#include "dataplane/base/fault.h"

namespace millrace::tcp {
namespace {

uint64_t tuple_hash(const SipKey& key, const Tuple& tuple) {
    return flow_hash(key, tuple.peer, tuple.local, tuple.peer_port, tuple.local_port);
}

}  // namespace

Seq initial_sequence_number(const Secrets& secrets, const Tuple& tuple, TimeUs now) {
    const auto clock = static_cast<uint32_t>(now / 4);
    if (fault(Fault::tcp_isn_predictable)) return {clock};
    return {static_cast<uint32_t>(tuple_hash(secrets.isn, tuple)) + clock};
}

uint32_t timestamp_offset(const Secrets& secrets, const Tuple& tuple) {
    return static_cast<uint32_t>(tuple_hash(secrets.timestamps, tuple));
}

uint64_t table_hash(const Secrets& secrets, const Tuple& tuple) {
    return tuple_hash(secrets.tables, tuple);
}

}  // namespace millrace::tcp
