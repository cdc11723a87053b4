// The clients' TLS handshakes: those that are under way, and the sessions that later ones offer to resume, one for each
// server. OpenSSL allocates and takes up to a millisecond a step, here on the thread that polls.
//
//   begin() ──► step() … ──► done: the keys are in the slot ─┬─────────────────────────────► forgotten
//                   └──────► failed ──► end()                └─ wants a ticket ► read_along() ──┘
//
// In TLS 1.3 tickets come behind the handshake. One connection to each server at a time keeps its SSL object until
// then; all other tickets are for the record layer, which skips them. A ticket is offered again and again, until it is
// refused.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "dataplane/base/time.h"
#include "load/histogram.h"
#include "load/settings.h"
#include "tls/handshake/handshake.h"

namespace millrace::load {

/// Null, with a reason, when the CA's certificates can't be read.
std::shared_ptr<const tls::Context> make_tls_context(const TlsSettings& settings, std::string& error);

struct HandshakeFigures {
    uint64_t done = 0;
    uint64_t resumed = 0;  ///< of those
    uint64_t failed = 0;
    Histogram duration;  ///< microseconds from the ClientHello to the end
    std::string error;   ///< of the latest that failed
};

class Handshakes {
  public:
    using State = tls::Handshake::State;

    /// With as many servers as Settings::targets has. make_tls_context() must take the settings.
    Handshakes(const TlsSettings& settings, size_t servers);

    /// Valid until the next call.
    struct Progress {
        State state;
        bool reads_along;     ///< with done: read_along() is to see what comes
        tls::Bytes output;    ///< for the server
        tls::Bytes leftover;  ///< with done: what came behind the handshake
    };

    /// For the connection `index` with a server, by its place among Settings::targets.
    void begin(uint32_t index, size_t server, TimeUs now);
    /// Goes on with what the server sent: at first nothing. Once it is done, `slot` has the keys.
    Progress step(uint32_t index, tls::Bytes in, tls::Crypto& crypto, tls::Slot& slot, TimeUs now);
    /// False when there is no need to see more.
    bool read_along(uint32_t index, tls::Bytes records);
    /// The connection ends; a handshake that is under way has failed.
    void end(uint32_t index);

    const HandshakeFigures& figures() const { return figures_; }
    /// Sessions are to be offered, and of some server there is none.
    bool awaits_session() const;
    /// SSL objects that there are now.
    size_t held() const { return held_.size(); }

  private:
    struct Held {
        std::unique_ptr<tls::Handshake> handshake;
        size_t server;
        TimeUs began;
        bool offered;
    };
    struct Server {
        tls::Owned<SSL_SESSION> session;
        bool read_along = false;  ///< some connection waits for its ticket
    };

    bool offer();
    Progress finish(uint32_t index, Held& held, tls::Crypto& crypto, tls::Slot& slot, TimeUs now);
    Progress fail(uint32_t index, const std::string& error);

    TlsSettings settings_;
    std::shared_ptr<const tls::Context> context_;
    std::vector<Server> servers_;
    std::unordered_map<uint32_t, Held> held_;  // under way, or reading along
    std::vector<uint8_t> output_, leftover_;
    double offers_due_ = 0;
    HandshakeFigures figures_;
};

}  // namespace millrace::load
