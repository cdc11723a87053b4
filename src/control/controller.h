// The control process at work: one main thread that owns the publisher, the link to the dataplane and the health
// checks, and turns over a few hundred times a second. Everything else (the admin API, reloads) runs on threads of its
// own and enters through call(), so that nothing of the state needs a lock and nothing slow (name servers, API clients)
// ever holds up a health probe.
//
//   API threads, reload thread ── call() ──▶ queue ──▶ main thread ──▶ config, commands
//                                                        │   ▲
//                                                        ▼   │ replies, stats
//                                                      dataplane
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "control/capture_session.h"
#include "control/config/load.h"
#include "control/health/checker.h"
#include "control/key_sender.h"
#include "control/link.h"
#include "control/names.h"
#include "control/publisher.h"

namespace millrace::control {

uint64_t monotonic_us();

enum class ReloadOutcome : uint8_t {
    published,
    unchanged,
    bad_file,       ///< errors in the file; the old configuration stays in force
    not_published,  ///< no slots left, or the file could not be written; the old one stays
};

enum class Acknowledgement : uint8_t { in_force, refused, dataplane_away, late };

struct ReloadResult {
    ReloadOutcome outcome = ReloadOutcome::bad_file;
    uint64_t generation = 0;
    std::vector<Diagnostic> diagnostics;
    std::string error;  ///< of not_published
    Acknowledgement acknowledgement = Acknowledgement::dataplane_away;
    std::string dataplane_error;  ///< of Acknowledgement::refused
};

/// The dataplane's answer to one request; empty when it went away or did not answer in time.
using Reply = std::optional<std::vector<std::byte>>;

/// The newest sample of a worker's cycles.
struct WorkerLoad {
    uint64_t busy = 0, idle = 0, device = 0;  ///< totals at the last sample
    double busy_share = 0;                    ///< of the last second: busy ÷ (busy + idle + device)
};

class Controller {
  public:
    static constexpr int reload_wait_ms = 2000;
    static constexpr int reply_wait_ms = 1000;

    Controller(std::string instance, std::string config_path);
    ~Controller();

    /// Opens the run directory's files. The directory must exist. False, with the reason, when that fails.
    bool open(std::string& error);

    /// One turn of the main thread: replies, calls, probes, joining. Returns the milliseconds until the next one is
    /// due.
    int turn();

    /// Readable when a call waits.
    int wake_descriptor() const { return wake_; }

    /// From now on call() and ask() of other threads return at once without having run, and no name is waited for. Main
    /// thread only.
    void release_callers();

    /// Runs `function` on the main thread and waits for its result. Not from the main thread. Empty after
    /// release_callers().
    template <typename Function>
    auto call(Function function) -> std::optional<decltype(function(std::declval<Controller&>()))> {
        using Result = decltype(function(std::declval<Controller&>()));
        auto task = std::make_shared<std::packaged_task<Result()>>([this, function] { return function(*this); });
        auto result = task->get_future();
        // Moved: a queue that is thrown away takes the task's last owner with it, and so ends the wait.
        if (!enqueue([task = std::move(task)] { (*task)(); })) return std::nullopt;
        try {
            return result.get();
        } catch (const std::future_error&) {
            return std::nullopt;  // the queue was thrown away
        }
    }

    /// Sends a request to a worker and waits at most `wait_ms` for its reply. Not from the main thread.
    Reply ask(uint32_t worker, MessageType type, std::span<const std::byte> payload, int wait_ms = reply_wait_ms);

    /// Loads the file, publishes it and waits for the dataplane. Any thread but the main one; one at a time. The result
    /// is logged.
    ReloadResult reload();

    /// Publishes what main has loaded (and which is ok()), before the first turn. The result is logged.
    ReloadResult start_with(LoadResult loaded);

    /// reload() on a thread of its own; while one is under way, another one follows it. Main thread only.
    void reload_in_background();

    // Main thread only.
    /// An id for a request, or for anything else that a worker has to tell apart.
    uint64_t next_id() { return next_request_++; }
    /// The newest capture, whether it runs or has ended; null before the first. It gets what workers capture.
    const std::shared_ptr<CaptureSession>& capture() const { return capture_; }
    void set_capture(std::shared_ptr<CaptureSession> capture) { capture_ = std::move(capture); }
    Publisher& publisher() { return publisher_; }
    DataplaneLink& link() { return *link_; }
    Checker& checker() { return *checker_; }
    /// What control goes by, like publisher().snapshot(), and the generation that it was published as.
    const std::optional<Config>& config() const { return config_; }
    uint64_t config_generation() const { return config_generation_; }
    const std::vector<WorkerLoad>& loads() const { return loads_; }
    const std::string& last_error() const { return last_error_; }
    uint64_t loaded_unix_ms() const { return loaded_unix_ms_; }

    // Any thread.
    Resolver& resolver() { return resolver_; }
    std::shared_ptr<const EventsMapping> events();
    std::shared_ptr<const Names> names();
    const std::string& instance() const { return instance_; }
    const std::string& config_path() const { return config_path_; }
    uint64_t start_unix_ms() const { return start_unix_ms_; }

  private:
    struct Waiting {
        std::promise<Reply> promise;
        uint64_t deadline_us;
    };

    bool enqueue(std::function<void()> task);
    void run_calls();
    void on_reply(const MessageHeader& header, std::span<const std::byte> payload, uint64_t now_ms);
    void expire_requests(uint64_t now_us);
    void follow_dataplane(uint64_t now_us);
    void sample_loads();
    void take_config(LoadResult loaded, ReloadResult& result);
    bool follow_generation();
    void go_by(Config config);
    void configure_probes();
    bool slot_is_idle(SlotKind kind, uint16_t slot);
    void wait_for_dataplane(ReloadResult& result, const std::string& error_before);
    void log(const ReloadResult& result);
    void run_reloads();

    const std::string instance_;
    const std::string config_path_;
    const uint64_t start_unix_ms_;
    SystemResolver resolver_;
    Publisher publisher_;
    std::unique_ptr<DataplaneLink> link_;
    std::unique_ptr<KeySender> keys_;
    std::unique_ptr<Checker> checker_;
    std::optional<Config> config_;
    uint64_t config_generation_ = 0;
    std::optional<Config> next_config_;  // published; the dataplane has not taken it
    std::vector<WorkerLoad> loads_;
    std::map<uint64_t, Waiting> waiting_;  // by request id
    uint64_t next_request_;
    std::shared_ptr<CaptureSession> capture_;
    uint64_t epoch_ = 0;
    bool was_alive_ = false;
    std::string link_error_;
    std::string last_error_;
    uint64_t loaded_unix_ms_ = 0;
    uint64_t refresh_due_us_ = 0;
    uint64_t sample_due_us_ = 0;
    uint64_t probes_due_ms_ = 0;

    int wake_ = -1;
    std::mutex mutex_;
    std::deque<std::function<void()>> calls_;      // guarded by mutex_
    bool released_ = false;                        // guarded by mutex_
    std::shared_ptr<const EventsMapping> events_;  // guarded by mutex_
    std::shared_ptr<const Names> names_;           // guarded by mutex_
    bool reload_wanted_ = false;                   // guarded by mutex_; of the background
    std::condition_variable reload_due_;
    std::mutex reload_mutex_;
    std::thread reload_thread_;  // made by the first reload_in_background(), ends when callers are released
};

}  // namespace millrace::control
