#include "socket.h"

#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace ws_load {

uint64_t now_us() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

SocketAddress::SocketAddress(const std::string& text) : bytes{} {
    const size_t colon = text.rfind(':');
    if (colon == std::string::npos) throw std::runtime_error(text + ": an address needs a port, as in 198.18.0.1:80");
    std::string host = text.substr(0, colon);
    const auto port = htons(static_cast<uint16_t>(std::stoul(text.substr(colon + 1))));
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    sockaddr_in v4{};
    sockaddr_in6 v6{};
    if (inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = port;
        std::memcpy(bytes, &v4, length = sizeof v4);
        family = AF_INET;
    } else if (inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = port;
        std::memcpy(bytes, &v6, length = sizeof v6);
        family = AF_INET6;
    } else {
        throw std::runtime_error(text + ": not a numeric address");
    }
}

Socket::Socket(int fd, int epoll, uint32_t tag) : fd_(fd), epoll_(epoll), tag_(tag) {
    const int on = 1;
    setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{};
    event.events = events_ = EPOLLIN | EPOLLOUT;
    event.data.u32 = tag_;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd_, &event);
}

Socket::~Socket() {
    close(fd_);
}

bool Socket::flush() {
    while (sent_ < unsent_.size()) {
        const ssize_t sent = send(fd_, unsent_.data() + sent_, unsent_.size() - sent_, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) break;
        if (sent < 0) return false;
        sent_ += static_cast<size_t>(sent);
    }
    if (sent_ == unsent_.size()) {
        if (unsent_.capacity() > 4096) std::string().swap(unsent_);  // an idle connection holds no buffer
        unsent_.clear();
        sent_ = 0;
    } else if (sent_ > (1u << 20)) {
        unsent_.erase(0, sent_);
        sent_ = 0;
    }
    update();
    return true;
}

long Socket::read(std::span<char> into) {
    const ssize_t got = recv(fd_, into.data(), into.size(), 0);
    return got >= 0 ? got : errno == EAGAIN ? -1 : -2;
}

void Socket::want_input(bool wanted) {
    input_wanted_ = wanted;
    update();
}

void Socket::update() {
    const uint32_t wanted = (input_wanted_ ? EPOLLIN : 0u) | (sent_ < unsent_.size() ? EPOLLOUT : 0u);
    if (wanted == events_) return;
    epoll_event event{};
    event.events = events_ = wanted;
    event.data.u32 = tag_;
    epoll_ctl(epoll_, EPOLL_CTL_MOD, fd_, &event);
}

size_t FrameHeader::size() const {
    if (have_ < 2) return 2;
    const uint8_t short_length = bytes_[1] & 0x7f;
    return 2u + (short_length == 126 ? 2u : short_length == 127 ? 8u : 0u) + (masked() ? 4u : 0u);
}

bool FrameHeader::take(std::string_view& input) {
    while (have_ < size() && !input.empty()) {
        bytes_[have_++] = static_cast<uint8_t>(input.front());
        input.remove_prefix(1);
    }
    return have_ >= 2 && have_ == size();
}

uint64_t FrameHeader::length() const {
    const uint8_t short_length = bytes_[1] & 0x7f;
    if (short_length < 126) return short_length;
    uint64_t length = 0;
    for (size_t i = 2; i < (short_length == 126 ? 4u : 10u); ++i) length = length << 8 | bytes_[i];
    return length;
}

void append_header(std::string& to, uint8_t first_byte, uint64_t length, const uint8_t* mask) {
    const uint8_t short_length = length < 126 ? static_cast<uint8_t>(length) : length < 65536 ? 126 : 127;
    to.push_back(static_cast<char>(first_byte));
    to.push_back(static_cast<char>(short_length | (mask ? 0x80 : 0)));
    for (int shift = short_length == 127 ? 56 : 8; short_length >= 126 && shift >= 0; shift -= 8)
        to.push_back(static_cast<char>(length >> shift));
    if (mask) to.append(reinterpret_cast<const char*>(mask), 4);
}

void apply_mask(char* bytes, size_t count, const uint8_t* mask, uint64_t phase) {
    uint8_t rotated[8];
    for (size_t i = 0; i < 8; ++i) rotated[i] = mask[(phase + i) % 4];
    uint64_t word_mask;
    std::memcpy(&word_mask, rotated, 8);
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        uint64_t word;
        std::memcpy(&word, bytes + i, 8);
        word ^= word_mask;
        std::memcpy(bytes + i, &word, 8);
    }
    for (; i < count; ++i) bytes[i] = static_cast<char>(bytes[i] ^ rotated[i % 8]);
}

}  // namespace ws_load
