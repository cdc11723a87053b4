// The thread beside the workers: watches for new configurations and for a new `commands` file, hands them over, keeps
// the heartbeat, lets the workers stand still while shards change hands, and turns signals into an orderly end. It
// never touches a packet.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>

#include "dataplane/app/instance.h"
#include "dataplane/config/runtime_config.h"
#include "dataplane/port/worker_loop.h"

namespace millrace::app {

class Supervisor {
  public:
    /// Shares the shards out to so many workers, while all stand still; returns how many changed their worker.
    using ShareOut = std::function<uint32_t(uint16_t polling)>;
    /// Told of each configuration that has come into force after the first.
    using InForce = std::function<void(const SnapshotView&)>;

    /// Starts the thread. `config` is the one that the workers began with. Block SIGTERM and SIGINT in every thread
    /// before.
    Supervisor(Instance& instance, std::unique_ptr<const config::RuntimeConfig> config, std::span<port::Orders> orders,
               ShareOut share_out, InForce in_force = {});

    /// Ends the thread (and with it, by then, the workers).
    ~Supervisor();

    /// Tells the workers to end.
    void stop();

  private:
    void run();
    static bool wait_for_signal(long timeout_ns);
    bool stopping() const;
    void look_for_config();
    void hand_over(const CommandsFile* commands);
    bool wait_for_workers();
    void set_polling(uint16_t polling);
    bool pause(std::span<port::Orders> orders);

    Instance& instance_;
    std::unique_ptr<const config::RuntimeConfig> config_;
    std::unique_ptr<const config::RuntimeConfig> retiring_;  // the one before, until every worker has left it
    std::span<port::Orders> orders_;
    ShareOut share_out_;
    InForce in_force_;
    uint16_t polling_;  // workers that poll at present
    const CommandsFile* commands_ = nullptr;
    std::atomic<bool> ended_ = false;
    std::thread thread_;
};

}  // namespace millrace::app
