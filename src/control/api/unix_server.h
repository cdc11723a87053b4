// cpp-httplib behind our own accept loop on a Unix socket. httplib parses, routes and writes; what it can't do for Unix
// sockets is done here: the socket exists (with owner and mode) before privileges are dropped, each request knows its
// peer's uid from the kernel (SO_PEERCRED), connections are limited, and so are the bytes and the time of a request
// (httplib bounds each header line and each wait, not their number), and stopping does not wait for slow clients.
//
// One thread accepts, one thread serves each connection, which carries one request; handlers run on the latter. A
// handler finds the peer's uid in Request::remote_addr, in decimal: it comes from the stream below, never from the
// request.
#pragma once

#include <atomic>
#include <condition_variable>
#include <httplib.h>
#include <mutex>
#include <set>
#include <string>
#include <sys/types.h>
#include <thread>

namespace millrace::control {

class UnixServer : public httplib::Server {
  public:
    static constexpr unsigned connections_max = 64;
    static constexpr size_t head_bytes_max = 64 << 10;  ///< request line and headers; the body has its own limit
    static constexpr int idle_timeout_ms = 10'000;      ///< before the request
    static constexpr int request_timeout_ms = 5'000;    ///< from its first byte to its last
    static constexpr int io_timeout_ms = 5'000;         ///< while a client does not read
    static constexpr int drain_timeout_ms = 1'000;      ///< after the answer, for what the client still sends

    UnixServer() = default;
    ~UnixServer() override { stop(); }

    /// Binds `path` with `mode`, replacing a socket that stands there (nothing else is ever replaced), and gives it to
    /// `owner` and `group` ((uid_t)-1, (gid_t)-1: as they come). False, with the reason, on failure.
    bool bind(const std::string& path, mode_t mode, uid_t owner, gid_t group, std::string& error);

    /// Accepts and serves from now on, in threads of its own.
    void start();

    /// Ends every connection and joins every thread, then removes the socket. Handlers that wait for others must have
    /// been released before.
    void stop();

    bool stopping() const { return stopping_; }
    const std::string& path() const { return path_; }

  private:
    void accept_loop();
    /// False when there are too many connections, or no thread is to be had.
    bool start_serving(int descriptor);
    void serve(int descriptor);

    std::string path_;
    int listener_ = -1;
    std::thread acceptor_;
    std::atomic<bool> stopping_ = false;
    std::mutex mutex_;
    std::condition_variable all_gone_;
    std::set<int> connections_;  // guarded by mutex_
};

}  // namespace millrace::control
