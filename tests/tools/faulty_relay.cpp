// faulty-relay: passes WebSocket connections on to a server and spoils one in so many of their messages, to show that a
// load generator notices. Whole messages are dropped, swapped with the connection's next one, sent twice, changed in
// their last byte, or put into another connection; on SIGTERM one JSON line says how often each was done.
//
//     faulty-relay --listen 198.18.0.1:9000 --to 198.18.1.11:9000 --drop 1000000
//
// Kernel sockets, one thread. A frame counts as a message; control frames, empty messages and the HTTP heads pass
// as they are.

#include <CLI/CLI.hpp>
#include <cinttypes>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <vector>

#include "socket.h"

namespace {

using namespace ws_load;

volatile std::sig_atomic_t stop = 0;

constexpr size_t unsent_bytes_max = 256u << 10;  // beyond this the sender has to wait

/// A fault that strikes one message in `every`; never when that is zero.
struct Fault {
    uint64_t every = 0;
    uint64_t done = 0;

    bool strikes(uint64_t message) const { return every && message % every == 0; }
};

struct Faults {
    Fault drop, swap, duplicate, corrupt, cross;
    uint64_t messages = 0;
};

/// What comes from one end of a connection, cut into whole messages.
class Stream {
  public:
    /// Calls on_head(bytes) for what belongs to no frame, on_message(bytes, is_data) for each whole frame.
    template <typename OnHead, typename OnMessage>
    void advance(std::string_view input, OnHead on_head, OnMessage on_message) {
        if (!in_frames_) {
            head_.append(input);
            const size_t end = head_.find("\r\n\r\n");
            if (end == std::string::npos) return;
            in_frames_ = true;
            on_head(std::string_view(head_).substr(0, end + 4));
            const std::string rest = head_.substr(end + 4);
            std::string().swap(head_);
            return advance(rest, on_head, on_message);
        }
        while (!input.empty()) {
            if (message_.empty()) {
                if (!frame_.take(input)) return;
                append_header(message_, frame_.first_byte(), frame_.length(),
                              frame_.masked() ? frame_.mask() : nullptr);
                payload_left_ = frame_.length();
            }
            const size_t part = std::min<uint64_t>(payload_left_, input.size());
            message_.append(input.substr(0, part));
            input.remove_prefix(part);
            payload_left_ -= part;
            if (payload_left_ > 0) return;
            on_message(message_, frame_.opcode() < 0x8 && frame_.length() > 0);
            message_.clear();
            frame_.reset();
        }
    }

    bool in_frames() const { return in_frames_; }

    std::string held;  ///< a message that its successor overtakes

  private:
    bool in_frames_ = false;
    std::string head_;
    FrameHeader frame_;
    std::string message_;
    uint64_t payload_left_ = 0;
};

/// One connection: end 0 is the client's, end 1 the server's.
struct Connection {
    std::unique_ptr<Socket> ends[2];
    Stream streams[2];
};

class Relay {
  public:
    Relay(const std::string& listen_text, const std::string& to, Faults& faults)
        : faults_(faults), to_(to), epoll_(epoll_create1(EPOLL_CLOEXEC)) {
        const SocketAddress address(listen_text);
        listener_ = socket(address.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const int on = 1;
        setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (bind(listener_, reinterpret_cast<const sockaddr*>(address.bytes), address.length) != 0 ||
            listen(listener_, 65535) != 0)
            throw std::runtime_error("cannot listen on " + listen_text);
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u32 = listener_tag;
        epoll_ctl(epoll_, EPOLL_CTL_ADD, listener_, &event);
    }

    void run() {
        std::printf("{\"listening\": 1}\n");
        std::fflush(stdout);
        epoll_event events[256];
        while (!stop) {
            const int count = epoll_wait(epoll_, events, 256, 200);
            for (int i = 0; i < count; ++i) {
                const uint32_t tag = events[i].data.u32;
                if (tag == listener_tag)
                    accept_one();
                else if (connections_[tag / 2] && !on_event(*connections_[tag / 2], tag % 2))
                    connections_[tag / 2].reset();
            }
        }
    }

    size_t accepted() const { return connections_.size(); }

  private:
    static constexpr uint32_t listener_tag = ~0u;

    void accept_one() {
        const int client = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (client < 0) return;
        const int server = socket(to_.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        // A refusal shows at the first event of the socket.
        (void)connect(server, reinterpret_cast<const sockaddr*>(to_.bytes), to_.length);
        const auto tag = static_cast<uint32_t>(2 * connections_.size());
        connections_.push_back(std::make_unique<Connection>());
        connections_.back()->ends[0] = std::make_unique<Socket>(client, epoll_, tag);
        connections_.back()->ends[1] = std::make_unique<Socket>(server, epoll_, tag + 1);
    }

    /// Passes on what waits at one end. False when the connection has ended.
    bool on_event(Connection& connection, uint32_t from) {
        Socket& input = *connection.ends[from];
        Socket& output = *connection.ends[1 - from];
        if (!input.flush()) return false;
        while (output.unsent_bytes() < unsent_bytes_max) {
            const long got = input.read(buffer_);
            if (got == -1) break;
            if (got <= 0) return false;
            connection.streams[from].advance(
                {buffer_.data(), static_cast<size_t>(got)}, [&](std::string_view head) { output.write(head); },
                [&](std::string& message, bool is_data) {
                    if (is_data)
                        pass(connection, from, message);
                    else
                        output.write(message);
                });
            if (!output.flush()) return false;
        }
        input.want_input(output.unsent_bytes() < unsent_bytes_max);
        if (connection.ends[from]->unsent_bytes() < unsent_bytes_max) output.want_input(true);
        return true;
    }

    void pass(Connection& connection, uint32_t from, std::string& message) {
        Socket& output = *connection.ends[1 - from];
        std::string& held = connection.streams[from].held;
        const uint64_t number = ++faults_.messages;
        if (!held.empty()) {  // spoiled once, so this one is not
            output.write(message);
            output.write(held);
            held.clear();
            ++faults_.swap.done;
        } else if (faults_.drop.strikes(number)) {
            ++faults_.drop.done;
        } else if (faults_.swap.strikes(number)) {
            held = message;
        } else if (Socket * other; faults_.cross.strikes(number) && (other = other_than(connection, from)) != nullptr) {
            other->write(message);
            other->flush();
            ++faults_.cross.done;
        } else {
            if (faults_.corrupt.strikes(number)) {
                message.back() = static_cast<char>(message.back() ^ (1 << from));  // its echo must not mend it
                ++faults_.corrupt.done;
            }
            output.write(message);
            if (faults_.duplicate.strikes(number)) {
                output.write(message);
                ++faults_.duplicate.done;
            }
        }
    }

    /// Where the messages of another connection in the same direction go; null when there is none that is upgraded.
    Socket* other_than(const Connection& connection, uint32_t from) {
        for (size_t i = connections_.size(); i-- > 0;) {
            Connection* const other = connections_[i].get();
            if (other && other != &connection && other->streams[0].in_frames() && other->streams[1].in_frames())
                return other->ends[1 - from].get();
        }
        return nullptr;
    }

    Faults& faults_;
    const SocketAddress to_;
    const int epoll_;
    int listener_;
    std::vector<std::unique_ptr<Connection>> connections_;  // in the order they came; an ended one leaves its place
    std::vector<char> buffer_ = std::vector<char>(128u << 10);
};

}  // namespace

int main(int argc, char** argv) {
    std::string listen, to;
    Faults faults;
    CLI::App app("A WebSocket relay that spoils one message in N");
    app.add_option("--listen", listen, "ADDRESS:PORT")->required();
    app.add_option("--to", to, "ADDRESS:PORT of the server")->required();
    app.add_option("--drop", faults.drop.every, "N: lose one message in N");
    app.add_option("--swap", faults.swap.every, "N: let the connection's next message overtake one in N");
    app.add_option("--duplicate", faults.duplicate.every, "N: send one message in N twice");
    app.add_option("--corrupt", faults.corrupt.every, "N: change the last byte of one message in N");
    app.add_option("--cross", faults.cross.every, "N: send one message in N to another connection");
    CLI11_PARSE(app, argc, argv);
    std::signal(SIGTERM, [](int) { stop = 1; });
    std::signal(SIGINT, [](int) { stop = 1; });
    try {
        Relay relay(listen, to, faults);
        relay.run();
        std::printf("{\"connections\": %zu, \"messages\": %" PRIu64 ", \"dropped\": %" PRIu64 ", \"swapped\": %" PRIu64
                    ", \"duplicated\": %" PRIu64 ", \"corrupted\": %" PRIu64 ", \"crossed\": %" PRIu64 "}\n",
                    relay.accepted(), faults.messages, faults.drop.done, faults.swap.done, faults.duplicate.done,
                    faults.corrupt.done, faults.cross.done);
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "faulty-relay: %s\n", error.what());
        return 2;
    }
}
