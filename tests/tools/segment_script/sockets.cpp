#include "tests/tools/segment_script/sockets.h"

#include <algorithm>
#include <set>

#include "dataplane/tcp/sender.h"

namespace millrace::script {
namespace {

using Kind = Outcome::Kind;

Outcome done(int64_t result) {
    return {Kind::done, result, {}, {}, {}};
}
Outcome fails(std::string error) {
    return {Kind::done, -1, std::move(error), {}, {}};
}
Outcome blocks() {
    return {Kind::blocks, 0, {}, {}, {}};
}
Outcome unsupported(std::string reason) {
    return {Kind::unsupported, 0, {}, std::move(reason), {}};
}

bool is_word(const Value& value, std::string_view word) {
    return value.kind == Value::Kind::word && value.text == word;
}

/// The words of `A|B|C`; a number other than 0 becomes its digits. Empty for 0 and `...`.
std::set<std::string> flag_words(const Value& value) {
    std::set<std::string> words;
    if (value.kind == Value::Kind::any_of)
        for (const Value& item : value.items) words.insert(item.text);
    else if (value.kind == Value::Kind::word || (value.kind == Value::Kind::number && value.number != 0))
        words.insert(value.text);
    return words;
}

/// The first word that is not known, or null.
const std::string* unknown_word(const std::set<std::string>& words, const std::set<std::string>& known) {
    for (const std::string& word : words)
        if (!known.contains(word)) return &word;
    return nullptr;
}

/// The port in `{sa_family = …, sin_port = htons(N), …}`; empty for `...`.
std::optional<uint16_t> port_of(const Value& address) {
    for (const Value& field : address.items)
        if (field.name == "sin_port" && field.kind == Value::Kind::call && !field.items.empty())
            return static_cast<uint16_t>(field.items[0].number);
    return std::nullopt;
}

/// A number by itself or in brackets, as an option's value is given.
std::optional<int64_t> number_in(const Value& value) {
    if (value.kind == Value::Kind::number) return value.number;
    if (value.kind == Value::Kind::list && value.items.size() == 1) return number_in(value.items[0]);
    return std::nullopt;
}

const Value& argument(const std::vector<Value>& arguments, size_t at) {
    static const Value missing;
    return at < arguments.size() ? arguments[at] : missing;
}

/// What write() sends when the script does not say: bytes that differ from their neighbours.
std::string content(size_t start, size_t bytes) {
    std::string text(bytes, ' ');
    for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>((start + i) * 37 + (start + i) / 256);
    return text;
}

}  // namespace

int Sockets::add(Socket socket, int64_t wanted) {
    int64_t fd = wanted >= 0 && !sockets_.contains(wanted) ? wanted : 3;
    while (sockets_.contains(fd)) ++fd;
    sockets_.emplace(fd, std::move(socket));
    return static_cast<int>(fd);
}

Outcome Sockets::call(const Call& call, bool again) {
    if (call.function == "socket") return socket_call(call);
    static const std::set<std::string> known = {
        "bind",   "listen", "accept", "accept4", "connect", "read",     "recv",  "recvfrom", "write",      "send",
        "sendto", "writev", "readv",  "close",   "fcntl",   "shutdown", "ioctl", "poll",     "setsockopt", "getsockopt",
    };
    if (!known.contains(call.function) || call.function == "poll") return unsupported(call.function + "()");
    const Value& first = argument(call.arguments, 0);
    if (first.kind != Value::Kind::number) return unsupported("a first argument that is no file descriptor");
    const auto found = sockets_.find(first.number);
    if (found == sockets_.end()) return fails("EBADF");
    Socket& socket = found->second;
    const std::string& name = call.function;
    if (name == "bind") {
        if (socket.port != 0) return fails("EINVAL");
        socket.port = port_of(argument(call.arguments, 1)).value_or(bind_port_);
        return done(0);
    }
    if (name == "listen") {
        if (socket.connection != nullptr) return fails("EINVAL");
        if (host_.listening(socket.port) && !socket.listening) return fails("EADDRINUSE");
        socket.listening = true;
        host_.listen(socket.port);
        return done(0);
    }
    if (name == "accept" || name == "accept4") return accept(socket, call);
    if (name == "connect") return connect(socket, call.arguments, again);
    if (name == "read" || name == "recv" || name == "recvfrom" || name == "readv") return read_call(socket, call);
    if (name == "write" || name == "send" || name == "sendto" || name == "writev")
        return write_call(socket, call, again);
    if (name == "shutdown") return shutdown(socket, call.arguments);
    if (name == "close") return close(first.number);
    if (name == "fcntl") return fcntl(socket, call.arguments);
    if (name == "ioctl") return ioctl(socket, call.arguments);
    if (name == "setsockopt") return set_option(socket, call.arguments);
    return get_option(socket, call.arguments);
}

Outcome Sockets::socket_call(const Call& call) {
    const std::set<std::string> words = flag_words(argument(call.arguments, 1));
    if (!words.contains("SOCK_STREAM")) return unsupported("a socket that is not SOCK_STREAM");
    if (const auto* word = unknown_word(words, {"SOCK_STREAM", "SOCK_NONBLOCK", "SOCK_CLOEXEC"}))
        return unsupported("socket() with " + *word);
    Socket socket;
    socket.nonblocking = words.contains("SOCK_NONBLOCK");
    return done(add(socket, call.result.number));
}

Outcome Sockets::accept(Socket& socket, const Call& call) {
    if (!socket.listening) return fails("EINVAL");
    const ConnectionPtr connection = host_.accept(socket.port);
    if (connection == nullptr) return socket.nonblocking ? fails("EAGAIN") : blocks();
    const std::set<std::string> words = flag_words(argument(call.arguments, 3));
    Socket accepted;
    accepted.connection = connection;
    accepted.port = socket.port;
    accepted.reported_connected = true;
    accepted.nonblocking = words.contains("SOCK_NONBLOCK");
    accepted.send_buffer_bytes = socket.send_buffer_bytes;
    accepted.keepalive = socket.keepalive;
    accepted.keepalive_times = socket.keepalive_times;
    apply_keepalive(accepted);
    if (socket.receive_buffer_bytes != 0) connection->receive_buffer_bytes = socket.receive_buffer_bytes;
    return done(add(accepted, call.result.number));
}

Outcome Sockets::connect(Socket& socket, const Arguments& arguments, bool again) {
    if (socket.connection == nullptr) {
        if (socket.port == 0) socket.port = next_port_++;
        const uint16_t remote = port_of(argument(arguments, 1)).value_or(connect_port_);
        socket.connection = host_.connect(socket.port, remote);
        if (socket.connection == nullptr) return fails("EADDRNOTAVAIL");
        opened_ = {socket.port, remote};
        apply_keepalive(socket);
        if (socket.receive_buffer_bytes != 0) socket.connection->receive_buffer_bytes = socket.receive_buffer_bytes;
        return socket.nonblocking ? fails("EINPROGRESS") : blocks();
    }
    Connection& connection = *socket.connection;
    if (!connection.error.empty()) return fails(std::exchange(connection.error, ""));
    if (connection.established) {
        if (std::exchange(socket.reported_connected, true) && !again) return fails("EISCONN");
        return done(0);
    }
    if (!connection.live) return fails("ECONNABORTED");
    return socket.nonblocking ? fails("EALREADY") : blocks();
}

Outcome Sockets::write_call(Socket& socket, const Call& call, bool again) {
    const Value& data = argument(call.arguments, 1);
    bool nonblocking = socket.nonblocking;
    size_t bytes = 0;
    std::string given;
    if (call.function == "writev") {
        for (const Value& piece : data.items)
            bytes += static_cast<size_t>(std::max<int64_t>(number_in(argument(piece.items, 1)).value_or(0), 0));
    } else {
        const std::set<std::string> words =
            call.function == "write" ? std::set<std::string>{} : flag_words(argument(call.arguments, 3));
        if (const auto* word = unknown_word(words, {"MSG_DONTWAIT", "MSG_NOSIGNAL"}))
            return unsupported(call.function + "() with " + *word);
        nonblocking |= words.contains("MSG_DONTWAIT");
        const auto count = number_in(argument(call.arguments, 2));
        if (!count || *count < 0 || *count > 16 << 20) return unsupported("a length that is no number up to 16 MiB");
        bytes = static_cast<size_t>(*count);
        if (data.kind == Value::Kind::text) given = data.text.substr(0, bytes);
    }
    const size_t start = socket.connection ? socket.connection->written.size() - (again ? socket.written : 0) : 0;
    return write(socket, given + content(start + given.size(), bytes - given.size()), nonblocking, again);
}

Outcome Sockets::write(Socket& socket, std::string_view bytes, bool nonblocking, bool again) {
    if (socket.connection == nullptr) return fails("EPIPE");
    Connection& connection = *socket.connection;
    if (!again) socket.written = 0;
    if (!connection.error.empty()) return fails(std::exchange(connection.error, ""));
    if (!connection.live || socket.write_shut) return fails("EPIPE");
    if (!connection.established) return nonblocking ? fails("EAGAIN") : blocks();
    const uint32_t queued = tcp::send_queue_bytes(connection.warm);
    const size_t room = socket.send_buffer_bytes > queued ? socket.send_buffer_bytes - queued : 0;
    const std::string_view rest = bytes.substr(socket.written);
    if (!rest.empty() && room > 0)
        socket.written += static_cast<uint32_t>(host_.send(connection, rest.substr(0, room)));
    if (socket.written == bytes.size() || (nonblocking && socket.written > 0)) return done(socket.written);
    return nonblocking ? fails("EAGAIN") : blocks();
}

Outcome Sockets::read_call(Socket& socket, const Call& call) {
    if (call.function == "readv") {
        int64_t bytes = 0;
        for (const Value& piece : argument(call.arguments, 1).items)
            bytes += number_in(argument(piece.items, 1)).value_or(0);
        return read(socket, bytes, socket.nonblocking, false);
    }
    const std::set<std::string> words =
        call.function == "read" ? std::set<std::string>{} : flag_words(argument(call.arguments, 3));
    if (const auto* word = unknown_word(words, {"MSG_DONTWAIT", "MSG_PEEK"}))
        return unsupported(call.function + "() with " + *word);
    const auto bytes = number_in(argument(call.arguments, 2));
    if (!bytes || *bytes < 0) return unsupported("a length that is no number");
    return read(socket, *bytes, socket.nonblocking || words.contains("MSG_DONTWAIT"), words.contains("MSG_PEEK"));
}

Outcome Sockets::read(Socket& socket, int64_t bytes, bool nonblocking, bool peek) {
    if (socket.connection == nullptr) return fails("ENOTCONN");
    Connection& connection = *socket.connection;
    if (!connection.received.empty() && bytes > 0)
        return done(static_cast<int64_t>(host_.read(connection, static_cast<size_t>(bytes), peek)));
    if (!connection.error.empty()) return fails(std::exchange(connection.error, ""));
    if (connection.peer_fin || socket.read_shut || !connection.live || bytes == 0) return done(0);
    return nonblocking ? fails("EAGAIN") : blocks();
}

Outcome Sockets::shutdown(Socket& socket, const Arguments& arguments) {
    const Value& how = argument(arguments, 1);
    const bool both = is_word(how, "SHUT_RDWR");
    if (socket.connection == nullptr || !socket.connection->established || !socket.connection->live)
        return fails("ENOTCONN");
    if (is_word(how, "SHUT_RD") || both) socket.read_shut = true;
    if (is_word(how, "SHUT_WR") || both) {
        socket.write_shut = true;
        host_.shutdown_send(*socket.connection);
    }
    return socket.read_shut || socket.write_shut ? done(0) : fails("EINVAL");
}

Outcome Sockets::close(int64_t fd) {
    const Socket socket = sockets_.at(fd);
    sockets_.erase(fd);
    if (socket.listening) host_.stop_listening(socket.port);
    if (socket.connection != nullptr && socket.reset_on_close)
        host_.abort(*socket.connection);
    else if (socket.connection != nullptr)
        host_.close(*socket.connection);
    return done(0);
}

Outcome Sockets::fcntl(Socket& socket, const Arguments& arguments) {
    constexpr int64_t read_write = 2, nonblock = 04000;
    const Value& what = argument(arguments, 1);
    if (is_word(what, "F_GETFL")) return done(read_write | (socket.nonblocking ? nonblock : 0));
    if (!is_word(what, "F_SETFL")) return unsupported("fcntl() with " + what.text);
    const Value& flags = argument(arguments, 2);
    if (const auto number = number_in(flags)) {
        socket.nonblocking = (*number & nonblock) != 0;
        return done(0);
    }
    const std::set<std::string> words = flag_words(flags);
    if (const auto* word = unknown_word(words, {"O_RDWR", "O_NONBLOCK"})) return unsupported("fcntl() with " + *word);
    socket.nonblocking = words.contains("O_NONBLOCK");
    return done(0);
}

Outcome Sockets::ioctl(Socket& socket, const Arguments& arguments) {
    const Value& what = argument(arguments, 1);
    int64_t actual = 0;
    if (socket.connection == nullptr) return fails("EINVAL");
    if (is_word(what, "SIOCINQ") || is_word(what, "FIONREAD"))
        actual = static_cast<int64_t>(socket.connection->received.size());
    else if (is_word(what, "SIOCOUTQ") || is_word(what, "TIOCOUTQ"))
        actual = tcp::send_queue_bytes(socket.connection->warm);
    else
        return unsupported("ioctl() with " + what.text);
    Outcome outcome = done(0);
    const auto expected = number_in(argument(arguments, 2));
    if (expected && *expected != actual)
        outcome.mismatch = what.text + " gives " + std::to_string(actual) + ", not " + std::to_string(*expected);
    return outcome;
}

void Sockets::apply_keepalive(Socket& socket) {
    if (socket.connection != nullptr)
        socket.connection->keepalive = socket.keepalive ? socket.keepalive_times : KeepaliveRecord{};
}

/// False when `name` has nothing to do with it, or the value is none.
bool Sockets::set_keepalive(Socket& socket, const std::string& name, int64_t value) {
    KeepaliveRecord& times = socket.keepalive_times;
    if (value < 0 || value > 32767) return false;
    if (name == "SO_KEEPALIVE")
        socket.keepalive = value != 0;
    else if (name == "TCP_KEEPIDLE" && value > 0)
        times.idle_s = static_cast<uint16_t>(value);
    else if (name == "TCP_KEEPINTVL" && value > 0 && value <= keepalive_s_max)
        times.interval_s = static_cast<uint16_t>(value);
    else if (name == "TCP_KEEPCNT" && value > 0 && value <= 127)
        times.count = static_cast<uint8_t>(value);
    else
        return false;
    apply_keepalive(socket);
    return true;
}

Outcome Sockets::set_option(Socket& socket, const Arguments& arguments) {
    const Value& name = argument(arguments, 2);
    const Value& given = argument(arguments, 3);
    const auto number = number_in(given);
    if (is_word(name, "SO_REUSEADDR") || is_word(name, "SO_REUSEPORT")) return done(0);
    if (is_word(name, "TCP_NODELAY")) return done(0);  // this stack never waits for more to send
    if (name.kind == Value::Kind::word && number && set_keepalive(socket, name.text, *number)) return done(0);
    if (is_word(name, "SO_RCVBUF") && number) {
        socket.receive_buffer_bytes = static_cast<uint32_t>(*number);
        if (socket.connection) socket.connection->receive_buffer_bytes = socket.receive_buffer_bytes;
        return done(0);
    }
    if (is_word(name, "SO_SNDBUF") && number) {
        socket.send_buffer_bytes = static_cast<uint32_t>(*number);
        return done(0);
    }
    if (is_word(name, "SO_LINGER") && given.items.size() == 2) {
        const bool on = given.items[0].number != 0;
        if (on && given.items[1].number != 0) return unsupported("SO_LINGER that waits");
        socket.reset_on_close = on;
        return done(0);
    }
    return unsupported("setsockopt() of " + name.text);
}

Outcome Sockets::get_option(Socket& socket, const Arguments& arguments) {
    const Value& name = argument(arguments, 2);
    if (!is_word(name, "SO_ERROR") || socket.connection == nullptr) return unsupported("getsockopt() of " + name.text);
    const std::string error = std::exchange(socket.connection->error, "");
    const Value& filled = argument(arguments, 3);
    const Value& expected = filled.items.size() == 1 ? filled.items[0] : filled;
    const bool same = expected.kind == Value::Kind::word     ? expected.text == error
                      : expected.kind == Value::Kind::number ? (expected.number == 0) == error.empty()
                                                             : true;
    Outcome outcome = done(0);
    if (!same) outcome.mismatch = "SO_ERROR is " + (error.empty() ? "0" : error) + ", not " + expected.text;
    return outcome;
}

}  // namespace millrace::script
