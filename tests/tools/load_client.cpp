#include "load_client.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <memory>
#include <netinet/in.h>
#include <queue>
#include <random>
#include <stdexcept>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "socket.h"

namespace ws_load {
namespace {

// The example of RFC 6455 section 1.3.
constexpr const char* key = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr const char* accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
constexpr uint32_t size_max = 65536;
constexpr uint32_t shift_max = 4096;
constexpr uint64_t upgrade_timeout_us = 20'000'000;
constexpr uint64_t drain_us = 5'000'000;  // how long the last answers may take

struct Totals {
    uint64_t upgraded = 0, failed = 0, sent = 0, answered = 0, wrong = 0, broken = 0, bytes = 0;
    std::vector<uint32_t> latencies_us;
};

/// What every message is cut from: the place depends on connection and message, so a mix-up shows.
std::string make_pattern() {
    std::string pattern(size_max + shift_max, '\0');
    std::mt19937 random(1);
    for (char& c : pattern) c = static_cast<char>(random());
    return pattern;
}

class Connection {
  public:
    enum class State { upgrading, idle, waiting, done };

    Connection(int fd, int epoll, uint32_t index, const ClientOptions& options, const std::string& pattern,
               Totals& totals)
        : socket_(fd, epoll, index), index_(index), options_(options), pattern_(pattern), totals_(totals) {
        socket_.write(
            "GET " + options.path + " HTTP/1.1\r\nHost: " + options.host +
            "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key +
            "\r\n\r\n");
    }

    State state = State::upgrading;
    uint64_t started_us = now_us();  ///< of the upgrade, then of the newest message
    uint64_t messages = 0;           ///< sent so far

    void send_message() {
        const uint32_t size = options_.sizes[(index_ + messages) % options_.sizes.size()];
        const auto serial = static_cast<uint32_t>(index_ * 2654435761u + messages * 40503u);
        expected_ = std::string_view(pattern_).substr(serial % shift_max, size);
        uint8_t mask[4];
        std::memcpy(mask, &serial, 4);
        std::string& out = socket_.unsent();
        append_header(out, frame_binary, size, mask);
        out.append(expected_);
        apply_mask(out.data() + out.size() - size, size, mask, 0);
        started_us = now_us();
        ++messages;
        ++totals_.sent;
        state = State::waiting;
        socket_.flush();
    }

    void send_close() {
        const uint8_t mask[4] = {1, 2, 3, 4};
        append_header(socket_.unsent(), frame_close, 0, mask);
        socket_.flush();
    }

    /// Reads what waits. False when the connection is broken or was refused.
    bool on_event(std::span<char> buffer) {
        if (!socket_.flush()) return false;
        while (true) {
            const long got = socket_.read(buffer);
            if (got == -1) return true;
            if (got <= 0 || !on_input({buffer.data(), static_cast<size_t>(got)})) return false;
        }
    }

  private:
    bool on_input(std::string_view input) {
        if (state == State::upgrading) {
            head_.append(input);
            const size_t end = head_.find("\r\n\r\n");
            if (end == std::string::npos) return true;
            if (!head_.starts_with("HTTP/1.1 101 ") || head_.find(accept) == std::string::npos) return false;
            state = State::idle;
            const std::string rest = head_.substr(end + 4);
            std::string().swap(head_);
            return on_frames(rest);
        }
        return on_frames(input);
    }

    bool on_frames(std::string_view input) {
        while (!input.empty()) {
            if (!in_frame_) {
                if (!frame_.take(input)) return true;
                if (state != State::waiting || frame_.first_byte() != frame_binary || frame_.masked() ||
                    frame_.length() != expected_.size()) {
                    ++totals_.wrong;
                    return false;
                }
                in_frame_ = true;
                received_ = 0;
            }
            const size_t part = std::min(expected_.size() - received_, input.size());
            if (std::memcmp(expected_.data() + received_, input.data(), part) != 0) {
                ++totals_.wrong;
                return false;
            }
            received_ += part;
            input.remove_prefix(part);
            if (received_ < expected_.size()) return true;
            in_frame_ = false;
            frame_.reset();
            state = State::idle;
            ++totals_.answered;
            totals_.bytes += received_;
            totals_.latencies_us.push_back(static_cast<uint32_t>(now_us() - started_us));
        }
        return true;
    }

    Socket socket_;
    uint32_t index_;
    const ClientOptions& options_;
    const std::string& pattern_;
    Totals& totals_;
    std::string head_;
    FrameHeader frame_;
    bool in_frame_ = false;
    std::string_view expected_;
    size_t received_ = 0;
};

class Clients {
  public:
    Clients(const ClientOptions& options, const volatile std::sig_atomic_t& stop)
        : options_(options), stop_(stop), epoll_(epoll_create1(EPOLL_CLOEXEC)), pattern_(make_pattern()) {
        for (const std::string& text : options.to) targets_.emplace_back(text);
        for (const std::string& text : options.from) sources_.emplace_back(text);
        connections_.resize(targets_.size() * options.connections);
    }

    int run() {
        const uint64_t begin = now_us();
        connect_all();
        std::printf("{\"upgraded\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"connect_seconds\": %.3f}\n",
                    totals_.upgraded, totals_.failed, static_cast<double>(now_us() - begin) / 1e6);
        std::fflush(stdout);
        const uint64_t exchange_begin = now_us();
        exchange(exchange_begin);
        print_end(static_cast<double>(now_us() - exchange_begin) / 1e6);
        for (auto& connection : connections_)
            if (connection && connection->state != Connection::State::waiting) connection->send_close();
        return totals_.failed + totals_.wrong + totals_.broken + (totals_.sent - totals_.answered) ? 1 : 0;
    }

  private:
    using State = Connection::State;

    void connect_all() {
        uint32_t next = 0;
        while (!stop_ && (next < connections_.size() || upgrading_ > 0)) {
            for (; next < connections_.size() && upgrading_ < options_.parallel; ++next) open(next);
            poll(100, [&](uint32_t index) {
                if (connections_[index]->state != State::idle) return;
                --upgrading_;
                ++totals_.upgraded;
            });
            for (auto& connection : connections_)
                if (connection && connection->state == State::upgrading &&
                    now_us() - connection->started_us > upgrade_timeout_us)
                    drop(connection);
        }
    }

    void open(uint32_t index) {
        const SocketAddress& target = targets_[index % targets_.size()];
        const int fd = socket(target.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
        if (fd < 0) throw std::runtime_error("cannot make one more socket; the limit is `ulimit -n`");
        if (!sources_.empty()) {
            const SocketAddress& source = sources_[index % sources_.size()];
            setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
            if (bind(fd, reinterpret_cast<const sockaddr*>(source.bytes), source.length) != 0)
                throw std::runtime_error("cannot bind to a source address");
        }
        // A refusal shows at the first event of the socket.
        (void)connect(fd, reinterpret_cast<const sockaddr*>(target.bytes), target.length);
        connections_[index] = std::make_unique<Connection>(fd, epoll_, index, options_, pattern_, totals_);
        ++upgrading_;
    }

    void exchange(uint64_t begin) {
        const uint64_t end = options_.seconds ? begin + options_.seconds * 1'000'000ull : ~0ull;
        for (uint32_t i = 0; i < connections_.size(); ++i)  // spread over the first interval
            if (connections_[i] && !options_.hold)
                due_.push({begin + uint64_t{options_.interval_us} * i / connections_.size(), i});
        while (!stop_ && now_us() < end && (options_.hold || unfinished())) {
            const uint64_t now = now_us();
            for (; !due_.empty() && due_.top().first <= now; due_.pop())
                if (auto& connection = connections_[due_.top().second]) connection->send_message();
            const int wait_ms =
                due_.empty() ? 100 : static_cast<int>(std::min<uint64_t>((due_.top().first - now) / 1000, 100));
            poll(wait_ms, [&](uint32_t index) { on_answered(index); });
        }
        const uint64_t give_up = now_us() + drain_us;
        while (waiting() && now_us() < give_up) poll(50, [](uint32_t) {});
    }

    void on_answered(uint32_t index) {
        Connection& connection = *connections_[index];
        if (connection.state != State::idle) return;
        if (options_.messages && connection.messages >= options_.messages) {
            connection.state = State::done;
            ++done_;
        } else if (!options_.hold) {
            due_.push({std::max(connection.started_us + options_.interval_us, now_us()), index});
        }
    }

    template <typename OnProgress>
    void poll(int wait_ms, OnProgress on_progress) {
        epoll_event events[512];
        const int count = epoll_wait(epoll_, events, 512, wait_ms);
        for (int i = 0; i < count; ++i) {
            const uint32_t index = events[i].data.u32;
            auto& connection = connections_[index];
            if (!connection) continue;
            const State before = connection->state;
            if (!connection->on_event(buffer_))
                drop(connection);
            else if (connection->state != before)
                on_progress(index);
        }
    }

    void drop(std::unique_ptr<Connection>& connection) {
        if (connection->state == State::upgrading) {
            --upgrading_;
            ++totals_.failed;
        } else {
            ++totals_.broken;
        }
        connection.reset();
    }

    bool unfinished() const { return done_ + totals_.broken + totals_.failed < connections_.size(); }

    bool waiting() const {
        return std::any_of(connections_.begin(), connections_.end(),
                           [](const auto& connection) { return connection && connection->state == State::waiting; });
    }

    void print_end(double seconds) {
        auto& latencies = totals_.latencies_us;
        std::sort(latencies.begin(), latencies.end());
        const auto quantile = [&](double q) {
            return latencies.empty() ? 0u
                                     : latencies[static_cast<size_t>(q * static_cast<double>(latencies.size() - 1))];
        };
        std::printf("{\"connections\": %zu, \"upgraded\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"sent\": %" PRIu64
                    ", \"answered\": %" PRIu64 ", \"lost\": %" PRIu64 ", \"wrong\": %" PRIu64 ", \"broken\": %" PRIu64
                    ", \"bytes\": %" PRIu64 ", \"seconds\": %.3f, \"p50_us\": %u, \"p99_us\": %u, \"max_us\": %u}\n",
                    connections_.size(), totals_.upgraded, totals_.failed, totals_.sent, totals_.answered,
                    totals_.sent - totals_.answered, totals_.wrong, totals_.broken, totals_.bytes, seconds,
                    quantile(0.5), quantile(0.99), quantile(1));
        std::fflush(stdout);
    }

    const ClientOptions& options_;
    const volatile std::sig_atomic_t& stop_;
    const int epoll_;
    const std::string pattern_;
    std::vector<SocketAddress> targets_, sources_;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::vector<char> buffer_ = std::vector<char>(128u << 10);
    using Due = std::pair<uint64_t, uint32_t>;  // when, which connection
    std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
    Totals totals_;
    uint32_t upgrading_ = 0;
    uint64_t done_ = 0;
};

}  // namespace

int run_clients(const ClientOptions& options, const volatile std::sig_atomic_t& stop) {
    return Clients(options, stop).run();
}

}  // namespace ws_load
