// bulk: one stream over kernel TCP, with CUBIC, for a measured time, for goodput measurements. The bytes follow from
// their position, so the receiver alone can tell whether it got the right ones: it compares the SHA-256 of what came
// with that of what should have come, and prints one JSON object. Whoever receives keeps the time, from the
// connection's first byte, and resets the connection at its end.
//
//   bulk serve --listen ADDRESS:PORT                              both kinds of clients, until SIGTERM
//   bulk run --to ADDRESS:PORT --direction up|down --seconds S

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "socket.h"
#include "tests/sim/random.h"

namespace {

using ws_load::now_us;

constexpr size_t block_bytes = 64 << 10;

struct Request {
    char direction;  ///< 'u': the client sends, 'd': the server does
    char unused[7];
    uint64_t us;
};

class Stream {
  public:
    /// The block that holds byte `at`, from there on.
    std::span<const char> from(uint64_t at) {
        if (at / block_bytes != index_) {
            index_ = at / block_bytes;
            millrace::sim::Random random(index_);
            for (uint64_t& word : words_) word = random.next();
        }
        return std::span(reinterpret_cast<const char*>(words_.data()), block_bytes).subspan(at % block_bytes);
    }

  private:
    std::array<uint64_t, block_bytes / sizeof(uint64_t)> words_;
    uint64_t index_ = UINT64_MAX;
};

class Digest {
  public:
    Digest() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
    ~Digest() { EVP_MD_CTX_free(context_); }
    Digest(const Digest&) = delete;
    Digest& operator=(const Digest&) = delete;
    void add(std::span<const char> bytes) { EVP_DigestUpdate(context_, bytes.data(), bytes.size()); }
    std::string end() {
        std::string value(32, '\0');
        EVP_DigestFinal_ex(context_, reinterpret_cast<unsigned char*>(value.data()), nullptr);
        return value;
    }

  private:
    EVP_MD_CTX* context_;
};

/// Until the receiver resets the connection.
void send_stream(int fd) {
    Stream stream;
    for (uint64_t at = 0;;) {
        const std::span<const char> bytes = stream.from(at);
        const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return;
        at += static_cast<uint64_t>(sent);
    }
}

void receive_stream(int fd, uint64_t us) {
    Digest received, expected;
    std::array<char, block_bytes> buffer;
    uint64_t bytes = 0, stalled_us = 0, began = 0, last = now_us();
    bool ended = false;
    while (began == 0 || last < began + us) {
        pollfd in{fd, POLLIN, 0};
        const uint64_t left_us = began == 0 ? 10'000'000 : began + us - last;
        const bool ready = poll(&in, 1, static_cast<int>(left_us / 1000 + 1)) > 0;
        const ssize_t got = ready ? recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT) : -1;
        const uint64_t now = now_us();
        if (began != 0) stalled_us = std::max(stalled_us, now - last);
        last = now;
        if (got > 0) {
            if (began == 0) began = now;
            received.add(std::span(buffer).first(static_cast<size_t>(got)));
            bytes += static_cast<uint64_t>(got);
        } else if (began == 0 || got == 0 || (ready && errno != EAGAIN)) {
            ended = true;
            break;
        }
    }
    Stream stream;
    for (uint64_t at = 0; at < bytes;) {
        const std::span<const char> block = stream.from(at);
        const auto part = block.first(std::min<uint64_t>(block.size(), bytes - at));
        expected.add(part);
        at += part.size();
    }
    std::printf(
        "{\"bytes\": %llu, \"us\": %llu, \"longest_stall_us\": %llu, \"sha256_equal\": %s, \"ended_early\": %s}\n",
        static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(began == 0 ? 0 : last - began),
        static_cast<unsigned long long>(stalled_us), received.end() == expected.end() ? "true" : "false",
        ended ? "true" : "false");
    std::fflush(stdout);
}

void close_by_reset(int fd) {
    const linger now{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

[[noreturn]] void fail(const char* what) {
    throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

/// Needs CAP_NET_ADMIN where CUBIC is not the machine's default.
int cubic_socket(int family) {
    const int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0) fail("cubic");
    return fd;
}

int serve(const std::string& where) {
    const ws_load::SocketAddress address(where);
    const int listener = cubic_socket(address.family);
    const int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, reinterpret_cast<const sockaddr*>(address.bytes), address.length) != 0) fail("bind");
    if (listen(listener, 16) != 0) fail("listen");
    std::puts("ready");
    std::fflush(stdout);
    while (true) {
        const int fd = accept(listener, nullptr, nullptr);
        if (fd < 0) fail("accept");
        std::thread([fd] {
            Request request{};
            if (recv(fd, &request, sizeof request, MSG_WAITALL) == sizeof request) {
                if (request.direction == 'u')
                    receive_stream(fd, request.us);
                else
                    send_stream(fd);
            }
            close_by_reset(fd);
        }).detach();
    }
}

int run(const std::string& to, bool up, double seconds) {
    const ws_load::SocketAddress address(to);
    const int fd = cubic_socket(address.family);
    if (connect(fd, reinterpret_cast<const sockaddr*>(address.bytes), address.length) != 0) fail("connect");
    const Request request{up ? 'u' : 'd', {}, static_cast<uint64_t>(seconds * 1e6)};
    if (send(fd, &request, sizeof request, MSG_NOSIGNAL) != sizeof request) fail("send");
    if (up)
        send_stream(fd);
    else
        receive_stream(fd, request.us);
    close_by_reset(fd);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    std::string listen, to, direction;
    double seconds = 5;
    CLI::App app("One stream over kernel TCP for a measured time");
    app.require_subcommand(1);
    CLI::App* serve_command = app.add_subcommand("serve", "serve until SIGTERM");
    serve_command->add_option("--listen", listen, "ADDRESS:PORT")->required();
    CLI::App* run_command = app.add_subcommand("run", "one stream");
    run_command->add_option("--to", to, "ADDRESS:PORT")->required();
    run_command->add_option("--direction", direction, "who sends")->required()->check(CLI::IsMember({"up", "down"}));
    run_command->add_option("--seconds", seconds, "that the receiver measures");
    CLI11_PARSE(app, argc, argv);
    try {
        return *serve_command ? serve(listen) : run(to, direction == "up", seconds);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bulk: %s\n", error.what());
        return 2;
    }
}
