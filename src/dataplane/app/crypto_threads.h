// The threads that shake hands: those of a tls::Pool, off the workers' cores where the machine has others, and what the
// workers see of it.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <millrace/snapshot.h>

#include "dataplane/app/pool_handshakes.h"

namespace millrace::app {

class CryptoThreads {
  public:
    /// Needs crypto threads in the settings. They start with start().
    explicit CryptoThreads(const DataplaneRecord& settings);
    ~CryptoThreads();

    /// When root has been left.
    void start();
    tls::Pool& pool() { return pool_; }
    relay::Handshakes* of_worker(uint16_t worker) { return &of_workers_[worker]; }

  private:
    void run(uint32_t number);

    const DataplaneRecord settings_;
    const tls::Pool::Settings pool_settings_;
    tls::Pool pool_;
    std::vector<PoolHandshakes> of_workers_;
    std::atomic<bool> ended_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace millrace::app
