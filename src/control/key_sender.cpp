#include "control/key_sender.h"

#include <cerrno>
#include <cstring>
#include <openssl/crypto.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <millrace/key_socket.h>

#include "dataplane/base/fault.h"

namespace millrace::control {
namespace {

/// A dataplane that builds contexts from a thousand certificates takes less.
constexpr timeval patience{.tv_sec = 5, .tv_usec = 0};
constexpr uint64_t retry_us = 1'000'000;

}  // namespace

KeySender::~KeySender() {
    keep({});
}

void KeySender::keep(std::string text) {
    OPENSSL_cleanse(text_.data(), text_.size());
    text_ = std::move(text);
}

/// Whether a dataplane listens there that did not when we looked last.
bool KeySender::socket_is_new() {
    struct stat status {};
    if (stat((directory_ + '/' + std::string(key_socket_name)).c_str(), &status) != 0) return false;
    const int64_t time = int64_t{status.st_ctim.tv_sec} * 1'000'000'000 + status.st_ctim.tv_nsec;
    const bool is_new = status.st_ino != socket_inode_ || time != socket_time_;
    socket_inode_ = status.st_ino;
    socket_time_ = time;
    return is_new;
}

KeySender::Outcome KeySender::give(const std::string& text, std::string& error) {
    const int socket = connect_to_key_socket(directory_);
    if (socket < 0) return Outcome::nobody_there;
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    std::string answer(key_answer_bytes_max, 0);
    const int file = make_sealed_file(text, error);
    if (!peer_owns(socket, directory_))
        error = "who listens at its key socket is not millrace-dataplane";
    else if (file >= 0 && send_file(socket, file))
        answer.resize(static_cast<size_t>(std::max<ssize_t>(recv(socket, answer.data(), answer.size(), 0), 0)));
    else if (error.empty())
        error = std::string("its key socket: ") + std::strerror(errno);
    if (file >= 0) close(file);
    close(socket);
    if (error.empty() && answer != "ok") error = answer.empty() ? "it did not answer in time" : answer;
    return error.empty() ? Outcome::given : Outcome::refused;
}

bool KeySender::set(const tls::KeyBundle& bundle, std::string& error) {
    std::string text = bundle.listeners.empty() && bundle.backends.empty() ? std::string() : to_text(bundle);
    if (socket_is_new()) given_ = false;
    if (text == text_ && given_) return true;
    const Outcome outcome = text.empty() ? Outcome::given : give(text, error);
    if (outcome == Outcome::refused) {
        if (fault(Fault::control_refused_keys_kept)) keep(text);
        OPENSSL_cleanse(text.data(), text.size());
        error = "the dataplane refused the certificates and keys: " + error;
        return false;
    }
    keep(std::move(text));
    given_ = outcome == Outcome::given;
    return true;
}

void KeySender::follow(uint64_t now_us) {
    if (socket_is_new() && !fault(Fault::control_new_dataplane_without_keys)) {
        given_ = false;
        retry_at_us_ = 0;
    }
    if (text_.empty() || given_ || now_us < retry_at_us_) return;
    std::string error;
    const Outcome outcome = give(text_, error);
    given_ = outcome == Outcome::given;
    if (outcome == Outcome::refused) retry_at_us_ = now_us + retry_us;
    if (outcome == Outcome::refused && error != said_)
        spdlog::error("the dataplane refused the certificates and keys: {}", error);
    said_ = error;
}

}  // namespace millrace::control
