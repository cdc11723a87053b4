// What every call into the stack is given besides the connection, and what it gives back. One Context per worker and
// burst: references to things that live as long as the worker, and the time of the burst.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <type_traits>

#include "dataplane/base/time.h"
#include "dataplane/store/chunk_store.h"
#include "dataplane/tcp/counters.h"
#include "dataplane/tcp/options.h"
#include "dataplane/tcp/secrets.h"
#include "dataplane/wire/tcp_segment.h"

namespace millrace::tcp {

/// The worker's allowance of challenge ACKs (RFC 5961 §7). Renewed each second with a keyed, unpredictable amount, so
/// that the count can't serve as a side channel.
struct ChallengeBudget {
    TimeUs second = 0;  ///< which second `left` belongs to, counted from 1
    uint32_t left = 0;
};

/// The worker's allowance of long searches through send queues for what SACKs report (rack.h).
struct SearchBudget {
    TimeUs renewed_at = 0;
    int64_t left = 0;  ///< chunks; less than 0 until time has paid for the latest search
};

/// What all connections of a worker share, so that no peer takes more than its part of the worker's time. Not state of
/// any connection; zeroed at start.
struct Budgets {
    ChallengeBudget challenges;
    SearchBudget searches;
};

struct Context {
    store::ChunkStore& chunks;
    const Options& options;
    Counters& counters;
    const Secrets& secrets;
    Budgets& budgets;
    TimeUs now;
    bool buffers_may_grow = true;   ///< false: chunk memory is not plentiful
    bool out_of_order_held = true;  ///< false: it is short, so what comes out of order must come again
};

/// A borrowed callable: valid only during the call that it is passed to.
template <typename Signature>
class FunctionRef;

template <typename Result, typename... Arguments>
class FunctionRef<Result(Arguments...)> {
  public:
    template <typename Callable>
    requires(!std::is_same_v<std::remove_cvref_t<Callable>, FunctionRef>)
        FunctionRef(Callable&& callable)  // NOLINT: meant to convert
        : object_(const_cast<void*>(static_cast<const void*>(std::addressof(callable)))),
          call_([](void* object, Arguments... arguments) -> Result {
              return (*static_cast<std::remove_reference_t<Callable>*>(object))(arguments...);
          }) {}

    Result operator()(Arguments... arguments) const { return call_(object_, arguments...); }

  private:
    void* object_;
    Result (*call_)(void*, Arguments...);
};

/// Takes in-order payload and returns how many bytes of it, from the front, it has stored. What it returns is
/// acknowledged, so it must be in memory that survives the process before it returns. After a short return it is
/// called again for this segment only when memory has been freed since; the rest counts as never received.
using Consumer = FunctionRef<size_t(std::span<const uint8_t>)>;

/// Takes a segment to send. Its pieces are valid only during the call; it can't fail (see segment_credit of flush).
/// `header.source` stays unset: the owner fills it from `local_id`, in place.
using Emit = FunctionRef<void(wire::OutboundSegment&)>;

enum EventBit : uint16_t {
    event_established = 0x01,  ///< the connection can send
    event_data = 0x02,         ///< the consumer took `Events::consumed` bytes
    event_acked = 0x04,        ///< `Events::acked` bytes left the send queue
    event_peer_fin = 0x08,     ///< everything before the peer's FIN has been consumed; no more will come
    event_refused = 0x10,      ///< active open: RST (state is closed)
    event_reset = 0x20,        ///< the peer reset the connection (state is closed)
    event_timed_out = 0x40,    ///< gave up (state is closed)
    event_time_wait = 0x80,    ///< both FINs are acknowledged; flush once, then insert into the TimeWaitTable
    event_closed = 0x100,      ///< our FIN is acknowledged after the peer's: nothing is left to do (state is closed)
};

/// After refused, reset, timed_out or closed the state is `closed`; the owner calls release() and forgets the record.
/// After any receive() or on_deadline() the owner calls flush() once before it sleeps: an ACK or a segment may be due.
struct Events {
    uint16_t bits = 0;
    uint32_t consumed = 0;  ///< bytes
    uint32_t acked = 0;     ///< bytes, without SYN and FIN

    bool has(EventBit bit) const { return (bits & bit) != 0; }
    bool ended() const { return (bits & (event_refused | event_reset | event_timed_out | event_closed)) != 0; }
};

}  // namespace millrace::tcp
