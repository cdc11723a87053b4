// One capture of frames, from control's side: what the workers send, in the order of its time, as a stream in the
// format of pcap (microseconds, Ethernet). The main thread puts frames in, the API thread that asked takes them out;
// bounded in time, frames and bytes, and in what waits in between.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include <millrace/capture.h>

namespace millrace::control {

struct CaptureOptions {
    std::string filter_text;
    CaptureFilter filter{};
    uint32_t seconds = 10;
    uint32_t snaplen = capture_snaplen_max;
    uint32_t frames_max = 1'000'000;
    std::string uid;  ///< who asked
};

class CaptureSession {
  public:
    static constexpr uint32_t seconds_max = 300;
    static constexpr uint32_t frames_limit = 10'000'000;
    static constexpr uint64_t bytes_max = uint64_t{1} << 30;       ///< of the whole stream
    static constexpr size_t waiting_bytes_max = size_t{32} << 20;  ///< beyond, frames are dropped and counted

    CaptureSession(uint64_t id, CaptureOptions options, uint32_t workers);

    uint64_t id() const { return id_; }
    uint32_t workers() const { return workers_; }
    /// What each worker is told.
    CaptureStart request() const;
    /// The file's head: to be sent before anything that drain() returns.
    std::string file_header() const;

    // Any thread.

    /// A message `captured` of a worker.
    void take(std::span<const std::byte> message);
    /// What was taken came from every worker: it may be put in order.
    void turn_done();
    /// No more shall come; the first reason counts.
    void end(const std::string& why);
    /// A worker's last word.
    void add_dropped(uint64_t dropped);
    /// Everything has been taken out.
    void finish();
    /// Records of whole turns that wait, in the order of their times; waits for some, at most `wait_ms`.
    std::string drain(int wait_ms);
    /// end() was called, or the time is over.
    bool over();
    /// finish() was not called yet.
    bool running();
    nlohmann::ordered_json status();

  private:
    struct Waiting {
        uint64_t time_us;
        size_t offset;
        size_t length;
    };
    struct Batch {
        std::string records;
        std::vector<Waiting> waiting;

        void move_behind(Batch& other);
    };
    void end_locked(const std::string& why);

    const uint64_t id_;
    const CaptureOptions options_;
    const uint32_t workers_;
    const uint64_t started_us_;       // CLOCK_MONOTONIC
    const uint64_t started_unix_us_;  // at the same moment

    std::mutex mutex_;
    std::condition_variable came_;
    Batch coming_;  // of a turn that is not over; all below guarded by mutex_
    Batch ready_;
    uint64_t frames_ = 0;
    uint64_t bytes_ = 0;
    uint64_t dropped_ = 0;
    std::string end_;
    bool finished_ = false;
};

}  // namespace millrace::control
