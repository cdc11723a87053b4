// Chooses the server of a backend for a request by the configured algorithm. Once per new relay and per retry; on the
// worker, no allocation. Each algorithm has its own header beside this one.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <millrace/snapshot.h>

#include "dataplane/balance/ip_hash.h"
#include "dataplane/balance/least_conn.h"
#include "dataplane/balance/maglev.h"
#include "dataplane/balance/round_robin.h"
#include "dataplane/balance/server.h"

namespace millrace::balance {

/// One worker's view of a backend. Only round_robin needs credits and only maglev a table.
struct Pool {
    std::span<const Server> servers;
    std::span<int32_t> credits;              ///< one per server, the worker's own
    std::span<const uint16_t> maglev_table;  ///< built for these servers; empty: maglev acts as ip_hash
};

struct PickRequest {
    uint64_t hash = 0;    ///< keyed hash of the client's address or of a header (siphash.h); for maglev and ip_hash
    uint64_t random = 0;  ///< 64 uniform bits, fresh for each pick; for least_conn
    ExcludedSlots excluded;
};

/// Returns the slot of the server; empty when none is eligible, or for a value that is no Algorithm.
inline std::optional<uint16_t> pick(Algorithm algorithm, const Pool& pool, const PickRequest& request) {
    switch (algorithm) {
        case Algorithm::round_robin:
            return smooth_weighted_round_robin(pool.servers, pool.credits, request.excluded);
        case Algorithm::least_conn:
            return least_conn(pool.servers, request.random, request.excluded);
        case Algorithm::maglev:
            return maglev(pool.maglev_table, pool.servers, request.hash, request.excluded);
        case Algorithm::ip_hash:
            return ip_hash(pool.servers, request.hash, request.excluded);
    }
    return std::nullopt;
}

}  // namespace millrace::balance
