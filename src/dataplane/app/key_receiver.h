// Takes certificates and keys from control (millrace/key_socket.h) and gives them to the crypto threads. A thread of
// its own, beside the workers: to build a context takes milliseconds for each certificate. Handshakes that have begun
// keep what they began with.
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
    /// With this configuration in force, what belongs to no listener of it is forgotten.
    void forget_all_but(const SnapshotView& in_force);

  private:
    void run();
    void serve(int client);
    std::string take(int client);
    bool install(const std::vector<tls::ListenerKeys>& bundle, std::string& error);

    tls::Pool& pool_;
    const std::string directory_, control_directory_;
    int socket_ = -1, wake_ = -1;
    std::mutex mutex_;
    std::condition_variable delivered_;
    bool has_keys_ = false;                                             // guarded by mutex_
    std::map<uint16_t, std::shared_ptr<tls::TicketKeys>> ticket_keys_;  // by slot; guarded by mutex_
    std::map<uint16_t, bool> tickets_from_file_;                        // guarded by mutex_
    std::thread thread_;
};

}  // namespace millrace::app
