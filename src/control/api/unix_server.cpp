#include "control/api/unix_server.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace millrace::control {

namespace {

bool wait_for(int descriptor, short events, int timeout_ms) {
    pollfd waiting{descriptor, events, 0};
    int ready;
    do ready = poll(&waiting, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    return ready > 0 && (waiting.revents & events) != 0;
}

/// One connection as httplib wants to see it.
class UnixStream : public httplib::Stream {
  public:
    /// The request may have `body_bytes_max` bytes after its head.
    UnixStream(int descriptor, size_t body_bytes_max)
        : descriptor_(descriptor),
          body_bytes_max_(std::min(body_bytes_max, SIZE_MAX - UnixServer::head_bytes_max)),
          deadline_(Clock::now() + std::chrono::milliseconds(UnixServer::request_timeout_ms)) {
        ucred credentials{};
        socklen_t size = sizeof credentials;
        if (getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0) {
            uid_ = std::to_string(credentials.uid);
            pid_ = credentials.pid;
        }
    }

    bool is_readable() const override { return wait_for(descriptor_, POLLIN, UnixServer::io_timeout_ms); }
    /// Asked before each piece of a chunked answer, and by handlers that have none: false as soon as the client is
    /// gone.
    bool is_writable() const override {
        pollfd waiting{descriptor_, POLLOUT | POLLRDHUP, 0};
        return poll(&waiting, 1, UnixServer::io_timeout_ms) > 0 && (waiting.revents & POLLOUT) != 0 &&
               (waiting.revents & (POLLRDHUP | POLLHUP | POLLERR)) == 0;
    }
    ssize_t read(char* data, size_t size) override {
        const size_t limit = UnixServer::head_bytes_max + (head_ended_ ? body_bytes_max_ : 0);
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
        size = std::min(size, limit - received_);
        if (size == 0 || left <= 0 || !wait_for(descriptor_, POLLIN, static_cast<int>(left))) return -1;
        const ssize_t got = recv(descriptor_, data, size, 0);
        if (got > 0) count({data, static_cast<size_t>(got)});
        return got;
    }
    ssize_t write(const char* data, size_t size) override {
        if (!wait_for(descriptor_, POLLOUT, UnixServer::io_timeout_ms)) return -1;
        return send(descriptor_, data, size, MSG_NOSIGNAL);
    }
    void get_remote_ip_and_port(std::string& ip, int& port) const override {
        ip = uid_;
        port = pid_;
    }
    void get_local_ip_and_port(std::string& ip, int& port) const override {
        ip.clear();
        port = 0;
    }
    socket_t socket() const override { return descriptor_; }

  private:
    using Clock = std::chrono::steady_clock;

    /// An empty line ends the head, as for httplib.
    void count(std::string_view bytes) {
        received_ += bytes.size();
        for (const char c : bytes) {
            if (head_ended_) return;
            head_ended_ = c == '\n' && line_ == "\r";
            if (c == '\n')
                line_.clear();
            else if (line_.size() < 2)
                line_ += c;
        }
    }

    int descriptor_;
    size_t body_bytes_max_;
    Clock::time_point deadline_;
    size_t received_ = 0;
    bool head_ended_ = false;
    std::string line_;  // of the head: the first two bytes of the present one
    std::string uid_ = "unknown";
    int pid_ = 0;
};

/// Reads away what the client still sends, until it closes. A request that was refused before its body was read would
/// otherwise be reset by the close, and its answer lost with it.
void drain(int descriptor) {
    using Clock = std::chrono::steady_clock;
    const auto until = Clock::now() + std::chrono::milliseconds(UnixServer::drain_timeout_ms);
    char discarded[4096];
    ssize_t size = 1;
    shutdown(descriptor, SHUT_WR);
    while (size > 0 && Clock::now() < until && wait_for(descriptor, POLLIN, UnixServer::drain_timeout_ms))
        size = recv(descriptor, discarded, sizeof discarded, 0);
}

bool fails(const std::string& path, const char* call, std::string& error) {
    error = path + ": " + call + ": " + std::strerror(errno);
    return false;
}

}  // namespace

bool UnixServer::bind(const std::string& path, mode_t mode, uid_t owner, gid_t group, std::string& error) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        error = path + ": too long for a Unix socket (" + std::to_string(sizeof address.sun_path - 1) + " bytes)";
        return false;
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    struct stat status;
    if (lstat(path.c_str(), &status) == 0) {
        if (!S_ISSOCK(status.st_mode)) {
            error = path + ": is there and no socket";
            return false;
        }
        if (unlink(path.c_str()) != 0) return fails(path, "unlink", error);
    }
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener_ < 0) return fails(path, "socket", error);
    // The file appears with no permission at all and gets its own only when its owner is right.
    const mode_t before = umask(0777);
    const bool bound = ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    umask(before);
    if (!bound) return fails(path, "bind", error);
    path_ = path;
    if ((owner != static_cast<uid_t>(-1) || group != static_cast<gid_t>(-1)) && lchown(path.c_str(), owner, group) != 0)
        return fails(path, "chown", error);
    if (chmod(path.c_str(), mode) != 0) return fails(path, "chmod", error);
    if (::listen(listener_, 16) != 0) return fails(path, "listen", error);
    svr_sock_ = listener_;  // httplib ends a chunked answer when this becomes invalid
    return true;
}

void UnixServer::start() {
    acceptor_ = std::thread([this] { accept_loop(); });
}

void UnixServer::accept_loop() {
    constexpr char busy[] =
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 36\r\n"
        "Content-Type: application/json\r\n\r\n{\"error\":\"too many API connections\"}";
    while (!stopping_) {
        if (!wait_for(listener_, POLLIN, 100)) continue;
        const int descriptor = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (descriptor < 0) {
            // Without a descriptor or memory to be had the client goes on waiting, and poll() would return at once.
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                std::this_thread::sleep_for(std::chrono::milliseconds(100));
            continue;
        }
        if (start_serving(descriptor)) continue;
        send(descriptor, busy, sizeof busy - 1, MSG_NOSIGNAL);
        close(descriptor);
    }
}

bool UnixServer::start_serving(int descriptor) {
    std::lock_guard lock(mutex_);
    if (connections_.size() >= connections_max) return false;
    try {
        connections_.insert(descriptor);
        std::thread([this, descriptor] { serve(descriptor); }).detach();
        return true;
    } catch (const std::exception&) {  // no memory, no thread
        connections_.erase(descriptor);
        return false;
    }
}

void UnixServer::serve(int descriptor) {
    if (wait_for(descriptor, POLLIN, idle_timeout_ms)) {
        UnixStream stream(descriptor, payload_max_length_);
        bool closed = false;
        process_request(stream, true, closed, nullptr);
        drain(descriptor);
    }
    std::lock_guard lock(mutex_);
    close(descriptor);
    connections_.erase(descriptor);
    all_gone_.notify_all();
}

void UnixServer::stop() {
    if (listener_ < 0) return;
    stopping_ = true;
    svr_sock_ = -1;
    if (acceptor_.joinable()) acceptor_.join();
    std::unique_lock lock(mutex_);
    for (const int descriptor : connections_) shutdown(descriptor, SHUT_RDWR);
    all_gone_.wait(lock, [this] { return connections_.empty(); });
    close(listener_);
    listener_ = -1;
    unlink(path_.c_str());
}

}  // namespace millrace::control
