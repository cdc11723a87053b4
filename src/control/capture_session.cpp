#include "control/capture_session.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "control/controller.h"

namespace millrace::control {

namespace {

// The savefile of libpcap, in the writer's byte order.
struct FileHeader {
    uint32_t magic = 0xa1b2c3d4;  // microseconds
    uint16_t version_major = 2, version_minor = 4;
    uint32_t reserved[2] = {};
    uint32_t snaplen;
    uint32_t link_type = 1;  // Ethernet
};
struct RecordHeader {
    uint32_t seconds;
    uint32_t microseconds;
    uint32_t captured;
    uint32_t length;
};
static_assert(sizeof(FileHeader) == 24 && sizeof(RecordHeader) == 16);

constexpr uint64_t second_us = 1'000'000;

uint64_t unix_us() {
    using namespace std::chrono;
    return static_cast<uint64_t>(duration_cast<microseconds>(system_clock::now().time_since_epoch()).count());
}

template <typename Struct>
void append(std::string& text, const Struct& value) {
    text.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

CaptureSession::CaptureSession(uint64_t id, CaptureOptions options, uint32_t workers)
    : id_(id),
      options_(std::move(options)),
      workers_(workers),
      started_us_(monotonic_us()),
      started_unix_us_(unix_us()) {}

CaptureStart CaptureSession::request() const {
    // A second more: the end is ours to say, unless we are gone.
    return {.id = id_,
            .snaplen = options_.snaplen,
            .duration_ms = (options_.seconds + 1) * 1000,
            .frames_max = options_.frames_max,
            .filter = options_.filter};
}

std::string CaptureSession::file_header() const {
    std::string text;
    append(text, FileHeader{.snaplen = options_.snaplen});
    return text;
}

void CaptureSession::take(std::span<const std::byte> message) {
    CapturedFrame frame;
    if (message.size() < sizeof frame) return;
    std::memcpy(&frame, message.data(), sizeof frame);
    const auto bytes = message.subspan(sizeof frame);
    const uint64_t time_us = started_unix_us_ + frame.time_us - started_us_;  // may be before the start: wraps back
    std::lock_guard lock(mutex_);
    if (!end_.empty()) return;
    std::string& records = coming_.records;
    if (ready_.records.size() + records.size() + bytes.size() > waiting_bytes_max) {
        ++dropped_;
        return;
    }
    const size_t offset = records.size();
    append(records, RecordHeader{.seconds = static_cast<uint32_t>(time_us / second_us),
                                 .microseconds = static_cast<uint32_t>(time_us % second_us),
                                 .captured = static_cast<uint32_t>(bytes.size()),
                                 .length = std::max(frame.length, static_cast<uint32_t>(bytes.size()))});
    records.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    coming_.waiting.push_back({time_us, offset, records.size() - offset});
    bytes_ += records.size() - offset;
    if (++frames_ >= options_.frames_max) end_locked("so many frames came");
    if (bytes_ >= bytes_max) end_locked("the file is as long as it may be");
}

void CaptureSession::Batch::move_behind(Batch& other) {
    for (const Waiting& record : waiting)
        other.waiting.push_back({record.time_us, other.records.size() + record.offset, record.length});
    other.records += records;
    *this = {};
}

void CaptureSession::turn_done() {
    std::lock_guard lock(mutex_);
    if (coming_.waiting.empty()) return;
    coming_.move_behind(ready_);
    came_.notify_one();
}

void CaptureSession::end_locked(const std::string& why) {
    if (end_.empty()) end_ = why;
    came_.notify_one();
}

void CaptureSession::end(const std::string& why) {
    std::lock_guard lock(mutex_);
    end_locked(why);
}

void CaptureSession::add_dropped(uint64_t dropped) {
    std::lock_guard lock(mutex_);
    dropped_ += dropped;
}

void CaptureSession::finish() {
    std::lock_guard lock(mutex_);
    end_locked("its reader went away");
    finished_ = true;
}

std::string CaptureSession::drain(int wait_ms) {
    Batch batch;
    {
        std::unique_lock lock(mutex_);
        const auto some = [this] { return !ready_.waiting.empty() || !end_.empty(); };
        came_.wait_for(lock, std::chrono::milliseconds(wait_ms), some);
        if (!end_.empty()) coming_.move_behind(ready_);
        std::swap(batch, ready_);
    }
    std::ranges::stable_sort(batch.waiting, {}, &Waiting::time_us);
    std::string ordered;
    ordered.reserve(batch.records.size());
    for (const Waiting& record : batch.waiting) ordered.append(batch.records, record.offset, record.length);
    return ordered;
}

bool CaptureSession::over() {
    std::lock_guard lock(mutex_);
    if (monotonic_us() >= started_us_ + options_.seconds * second_us) end_locked("its time is over");
    return !end_.empty();
}

bool CaptureSession::running() {
    std::lock_guard lock(mutex_);
    return !finished_;
}

nlohmann::ordered_json CaptureSession::status() {
    using Json = nlohmann::ordered_json;
    std::lock_guard lock(mutex_);
    return {{"running", !finished_},
            {"filter", options_.filter_text},
            {"seconds", options_.seconds},
            {"count", options_.frames_max},
            {"snaplen", options_.snaplen},
            {"uid", options_.uid},
            {"started_unix_ms", started_unix_us_ / 1000},
            {"frames", frames_},
            {"bytes", bytes_},
            {"dropped", dropped_},
            {"end", end_.empty() ? Json(nullptr) : Json(end_)}};
}

}  // namespace millrace::control
