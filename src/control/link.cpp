#include "control/link.h"

#include <algorithm>
#include <filesystem>

namespace millrace::control {

namespace {

template <typename Struct>
std::span<const std::byte> bytes_of(const Struct& value) {
    return std::as_bytes(std::span(&value, 1));
}

}  // namespace

uint64_t DataplaneLink::heartbeat_us() const {
    return statistics_.is_open() ? statistics_.header().heartbeat_us.load(std::memory_order_relaxed) : 0;
}

void DataplaneLink::sample_heartbeats() {
    heartbeats_ms_.assign(worker_count(), heartbeat_us() / 1000);
    for (uint32_t worker = 0; worker < heartbeats_ms_.size(); ++worker)
        if (const auto own = statistics_.of_worker(worker, "heartbeat_us")) heartbeats_ms_[worker] = *own / 1000;
    std::atomic_thread_fence(std::memory_order_acquire);  // pairs with the release fence of WorkerLoop::publish
}

uint64_t DataplaneLink::heartbeat_ms(uint16_t server_slot) const {
    const uint16_t worker = stream_workers_[server_slot];
    return worker < heartbeats_ms_.size() ? heartbeats_ms_[worker] : 0;
}

void DataplaneLink::leave() {
    requests_.clear();
    replies_.clear();
    stream_workers_.fill(0);  // the next dataplane may have fewer
    events_.reset();
}

void DataplaneLink::join_stats() {
    if (stats_ && stats_.is_current()) return;
    statistics_.close();
    stats_ = SharedFile();
    const std::string path = directory_ + "/stats";
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return;
    stats_ = SharedFile::join(path, stats_magic, sizeof(StatsHeader), sizeof(StatsHeader), false, error_);
    if (stats_ && !statistics_.open(stats_, error_)) stats_ = SharedFile();
}

void DataplaneLink::join_events() {
    if (events_ && events_->file.is_current()) return;
    if (events_) {
        leave();
        ++epoch_;
    }
    const std::string path = directory_ + "/events";
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return;
    SharedFile file = SharedFile::join(path, events_magic, sizeof(EventsHeader), sizeof(EventsHeader), false, error_);
    if (!file) return;
    const uint32_t workers = reinterpret_cast<const EventsHeader*>(file.data())->worker_count;
    if (workers == 0 || workers > worker_max || events_file_bytes(workers) > file.size()) {
        error_ = path + ": impossible number of workers";
        return;
    }
    events_ = std::make_shared<const EventsMapping>(EventsMapping{std::move(file), workers});
    for (uint32_t i = 0; i < workers; ++i) {
        const WorkerEvents* worker = events_->worker(i);
        WorkerCommandRing& ring = commands_->rings[i];
        requests_.emplace_back(std::span(ring.data), &ring.produced, &worker->request_consumed);
        replies_.emplace_back(std::span(worker->replies), &worker->reply_produced, &ring.reply_consumed);
        replies_.back().skip_all();  // answers to a control before us
    }
    ++epoch_;
}

void DataplaneLink::refresh(uint64_t now_us) {
    error_.clear();
    join_stats();
    join_events();
    const bool alive = statistics_.is_open() && events_ != nullptr && heartbeat_us() + alive_us > now_us;
    if (alive != alive_) ++epoch_;
    alive_ = alive;
}

uint64_t DataplaneLink::malformed_replies() const {
    uint64_t total = 0;
    for (const MessageRingConsumer& ring : replies_) total += ring.malformed();
    return total;
}

bool DataplaneLink::request(uint32_t worker, MessageType type, uint64_t request_id,
                            std::span<const std::byte> payload) {
    return alive_ && worker < requests_.size() &&
           requests_[worker].push(static_cast<uint16_t>(type), request_id, payload);
}

void DataplaneLink::poll(const OnReply& on_reply, uint32_t max) {
    std::byte payload[message_payload_max];
    MessageHeader header;
    for (MessageRingConsumer& ring : replies_)
        for (uint32_t n = 0; n < max && ring.pop(header, payload); ++n) on_reply(header, {payload, header.length});
}

bool DataplaneLink::open(const StreamOpen& stream) {
    if (worker_count() == 0) return false;
    uint16_t& worker = stream_workers_[stream.server_slot];
    worker = static_cast<uint16_t>(stream.server_slot % polling_workers());
    return request(worker, MessageType::stream_open, stream.id, bytes_of(stream));
}

/// The others own no shard, so that no connection can start there.
uint32_t DataplaneLink::polling_workers() const {
    const uint32_t polling = statistics_.is_open() ? statistics_.header().polling_workers.load() : 0;
    return polling == 0 || polling > worker_count() ? worker_count() : polling;
}

bool DataplaneLink::send(uint16_t server_slot, uint64_t id, std::span<const std::byte> bytes) {
    std::vector<std::byte> payload(sizeof(StreamId) + bytes.size());
    const StreamId stream{id};
    std::memcpy(payload.data(), &stream, sizeof stream);
    std::copy(bytes.begin(), bytes.end(), payload.begin() + sizeof stream);
    return request(stream_workers_[server_slot], MessageType::stream_send, id, payload);
}

bool DataplaneLink::close(uint16_t server_slot, uint64_t id) {
    const StreamId stream{id};
    return request(stream_workers_[server_slot], MessageType::stream_close, id, bytes_of(stream));
}

}  // namespace millrace::control
