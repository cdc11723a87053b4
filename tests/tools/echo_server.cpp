#include "echo_server.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdexcept>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socket.h"

namespace ws_load {
namespace {

constexpr size_t head_bytes_max = 16384;
constexpr size_t unsent_bytes_max = 256u << 10;  // beyond this the client has to wait

/// Value of a header line, "" when there is none.
std::string header(const std::string& head, const char* name) {
    const std::string line_start = std::string("\r\n") + name + ":";
    const auto at = std::search(head.begin(), head.end(), line_start.begin(), line_start.end(),
                                [](char a, char b) { return std::tolower(a) == std::tolower(b); });
    if (at == head.end()) return "";
    std::string value(at + static_cast<long>(line_start.size()), std::find(at + 2, head.end(), '\r'));
    value.erase(0, value.find_first_not_of(" \t"));
    return value;
}

std::string accept_value(const std::string& key) {
    const std::string text = key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char digest[SHA_DIGEST_LENGTH], base64[2 * SHA_DIGEST_LENGTH];
    SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
    const int length = EVP_EncodeBlock(base64, digest, sizeof digest);
    return {reinterpret_cast<char*>(base64), static_cast<size_t>(length)};
}

class Connection {
  public:
    Connection(int fd, int epoll, const std::string& name)
        : socket_(fd, epoll, static_cast<uint32_t>(fd)), name_(name) {}

    /// Reads and answers what waits. False when the connection has ended.
    bool on_event(std::span<char> buffer) {
        if (!socket_.flush()) return false;
        while (socket_.unsent_bytes() < unsent_bytes_max) {
            const long got = socket_.read(buffer);
            if (got == -1) break;
            if (got <= 0) return false;
            const bool go_on = on_input({buffer.data(), static_cast<size_t>(got)});
            if (!socket_.flush() || !go_on) return false;
        }
        socket_.want_input(socket_.unsent_bytes() < unsent_bytes_max);
        return true;
    }

  private:
    bool on_input(std::string_view input) {
        if (!upgraded_) {
            head_.append(input);
            const size_t end = head_.find("\r\n\r\n");
            if (end == std::string::npos) return head_.size() < head_bytes_max;
            const std::string rest = head_.substr(end + 4);
            head_.resize(end + 2);
            if (!answer_head()) return false;
            std::string().swap(head_);
            upgraded_ = true;
            return on_frames(rest);
        }
        return on_frames(input);
    }

    bool answer_head() {
        const std::string key = header(head_, "Sec-WebSocket-Key");
        if (key.empty()) {
            socket_.write("HTTP/1.1 200 OK\r\nX-Served-By: " + name_ +
                          "\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n");
            return false;
        }
        socket_.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Served-By: " +
                      name_ + "\r\nSec-WebSocket-Accept: " + accept_value(key) + "\r\n\r\n");
        return true;
    }

    bool on_frames(std::string_view input) {
        while (true) {
            if (payload_left_ == 0) {
                if (input.empty() || !frame_.take(input)) return true;
                if (!frame_.masked()) return false;
                const uint8_t first = frame_.opcode() == 0x9 ? 0x8a : frame_.first_byte();  // a ping comes back as pong
                append_header(socket_.unsent(), first, frame_.length(), nullptr);
                payload_left_ = frame_.length();
            }
            const size_t part = std::min<uint64_t>(payload_left_, input.size());
            std::string& out = socket_.unsent();
            out.append(input.substr(0, part));
            apply_mask(out.data() + out.size() - part, part, frame_.mask(), frame_.length() - payload_left_);
            input.remove_prefix(part);
            payload_left_ -= part;
            if (payload_left_ > 0) return true;
            const bool closing = frame_.opcode() == (frame_close & 0x0f);
            frame_.reset();
            if (closing) return false;
        }
    }

    Socket socket_;
    const std::string& name_;
    std::string head_;
    bool upgraded_ = false;
    FrameHeader frame_;
    uint64_t payload_left_ = 0;
};

int listening_socket(const std::string& text) {
    const SocketAddress address(text);
    const int fd = socket(address.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(address.bytes), address.length) != 0 ||
        listen(fd, 65535) != 0)
        throw std::runtime_error("cannot listen on " + text);
    return fd;
}

}  // namespace

int serve(const ServerOptions& options, const volatile std::sig_atomic_t& stop) {
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    std::vector<int> listeners;
    for (const std::string& text : options.listen) {
        listeners.push_back(listening_socket(text));
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u32 = static_cast<uint32_t>(listeners.back());
        epoll_ctl(epoll, EPOLL_CTL_ADD, listeners.back(), &event);
    }
    std::printf("{\"listening\": %zu}\n", listeners.size());
    std::fflush(stdout);

    std::vector<std::unique_ptr<Connection>> connections;  // by descriptor
    std::vector<char> buffer(128u << 10);
    epoll_event events[256];
    while (!stop) {
        const int count = epoll_wait(epoll, events, 256, 200);
        for (int i = 0; i < count; ++i) {
            const uint32_t fd = events[i].data.u32;
            if (std::find(listeners.begin(), listeners.end(), static_cast<int>(fd)) == listeners.end()) {
                if (connections[fd] && !connections[fd]->on_event(buffer)) connections[fd].reset();
                continue;
            }
            const int accepted = accept4(static_cast<int>(fd), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (accepted < 0) continue;
            const auto index = static_cast<size_t>(accepted);
            if (index >= connections.size()) connections.resize(index + 1);
            connections[index] = std::make_unique<Connection>(accepted, epoll, options.name);
        }
    }
    return 0;
}

}  // namespace ws_load
