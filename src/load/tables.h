// The memory of the generator's connections: a pool for each role, and what both share. Everything is reserved at the
// start and paid for as it is touched; nothing of it outlives the process. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "dataplane/base/siphash.h"
#include "dataplane/base/time.h"
#include "dataplane/store/chunk_store.h"
#include "dataplane/store/flow_table.h"
#include "dataplane/store/index_queue.h"
#include "dataplane/store/record_pool.h"
#include "dataplane/store/timer_wheel.h"
#include "dataplane/tcp/half_open.h"
#include "dataplane/tcp/secrets.h"
#include "dataplane/tcp/time_wait.h"
#include "load/connection.h"
#include "load/tls_end.h"

namespace millrace::load {

/// Zeroed memory straight from the system; gives it back in the end.
class Memory {
  public:
    explicit Memory(bool huge_pages) : huge_pages_(huge_pages) {}
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;
    ~Memory();

    /// At least so many bytes, aligned to a page.
    std::span<std::byte> take(uint64_t bytes);

    template <class T>
    std::span<T> records(size_t count) {
        return {reinterpret_cast<T*>(take(count * sizeof(T)).data()), count};
    }

  private:
    bool huge_pages_;
    std::vector<std::span<std::byte>> parts_;
};

struct TableLimits {
    uint32_t clients;
    uint32_t servers;
    uint64_t chunk_bytes;
    uint32_t half_open = 65536;  ///< a power of two
    uint32_t time_wait = 65536;  ///< a power of two
    bool tls = false;
    bool huge_pages = false;
};

struct Tables {
    Tables(const TableLimits& limits, uint64_t seed, TimeUs now);

    store::RecordPool<Connection>& pool(Role role) { return role == Role::client ? clients : servers; }
    Connection& at(Ref ref) { return pool(ref.role()).at(ref.index()); }

    uint32_t flow_hash(const IpAddress& peer, const IpAddress& local, uint16_t peer_port, uint16_t local_port) const {
        return static_cast<uint32_t>(millrace::flow_hash(flow_key, peer, local, peer_port, local_port));
    }

    /// What the connections cost, without the chunks: records up to the highest ever used, flows, timers, queue, keys.
    uint64_t connection_bytes() const;

    Memory memory;
    SipKey flow_key;
    tcp::Secrets secrets;
    store::RecordPool<Connection> clients, servers;
    store::FlowTable flows;
    store::ChunkStore chunks;
    store::TimerWheel wheel;
    tcp::HalfOpenTable half_open;
    tcp::TimeWaitTable time_wait;
    store::IndexQueue ready;   ///< connections to flush
    store::IndexQueue parked;  ///< connections that wait for a neighbour
    uint32_t ready_most = 0;
    std::span<TlsEnd> tls_ends;  ///< as many as clients; none without TLS
};

}  // namespace millrace::load
