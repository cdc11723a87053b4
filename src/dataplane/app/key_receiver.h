// Takes certificates and keys from control (millrace/key_socket.h) and gives them to the crypto threads. A thread of
// its own, beside the workers: to build a context takes milliseconds for each certificate. Keys come before the
// configuration that they belong to, and are used from its coming into force on, so that one that is refused changes
// nothing; only a slot that has none yet gets its own at once. Handshakes that have begun keep what they began with.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include <millrace/snapshot.h>

#include "tls/handshake/key_bundle.h"
#include "tls/handshake/pool.h"

namespace millrace::app {

class KeyReceiver {
  public:
    /// `directory` and `control_directory` are the parts of the run directory.
    KeyReceiver(tls::Pool& pool, std::string directory, std::string control_directory)
        : pool_(pool), directory_(std::move(directory)), control_directory_(std::move(control_directory)) {}
    ~KeyReceiver();

    /// Opens the socket and starts the thread: when root has been left, for that is how control knows us.
    bool start(std::string& error);
    /// Waits for the first delivery. False when there was none in time.
    bool wait(int timeout_ms);
    /// This configuration is in force: what came for it is used from now on, and what belongs to no listener of it, or
    /// of one that is to come, is forgotten. Called for the first one, too, before start().
    void in_force(const SnapshotView& config);

  private:
    /// Of a listener, or, with `servers`, of a backend.
    struct Keys {
        std::shared_ptr<const tls::Context> context = nullptr;
        std::shared_ptr<tls::TicketKeys> tickets = nullptr;
        bool tickets_from_file = false;
        std::shared_ptr<tls::Servers> servers = nullptr;
    };
    using KeyMap = std::map<uint16_t, Keys>;  // by their number in the pool

    void run();
    void serve(int client);
    std::string take(int client);
    bool build(const tls::KeyBundle& bundle, std::string& error);
    bool build(const tls::ListenerKeys& from, KeyMap& built, std::string& error);
    bool build(const tls::BackendKeys& from, KeyMap& built, std::string& error);
    void stage(const tls::KeyBundle& bundle, KeyMap built);
    void use(uint16_t number, const Keys& keys);

    tls::Pool& pool_;
    const std::string directory_, control_directory_;
    int socket_ = -1, wake_ = -1;
    std::mutex mutex_;
    std::condition_variable delivered_;
    // Guarded by mutex_.
    bool has_keys_ = false;
    uint64_t generation_ = 0;  // in force
    KeyMap used_;              // by handshakes that begin now
    KeyMap next_;              // for generation next_generation_; empty: nothing is to come
    uint64_t next_generation_ = 0;
    std::thread thread_;
};

}  // namespace millrace::app
