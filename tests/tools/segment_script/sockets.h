// The sockets interface over a Host, as far as scripts need it: calls by name with the arguments of the script, results
// as a Linux system would give them. A call that would block says so and is tried again by the interpreter. What is not
// known here is reported, never ignored.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "tests/tools/segment_script/host.h"
#include "tests/tools/segment_script/script.h"

namespace millrace::script {

struct Outcome {
    enum class Kind : uint8_t { done, blocks, unsupported };
    Kind kind = Kind::done;
    int64_t result = 0;
    std::string error;     ///< errno's name when result is -1
    std::string reason;    ///< unsupported: why
    std::string mismatch;  ///< an argument that the call fills in does not have the script's value
};

class Sockets {
  public:
    Sockets(Host& host, uint16_t bind_port, uint16_t connect_port)
        : host_(host), bind_port_(bind_port), connect_port_(connect_port) {}

    /// `again` when this very call blocked before.
    Outcome call(const Call& call, bool again);

    /// Ports (local, remote) of the connection that the latest call opened, if it did.
    std::optional<std::pair<uint16_t, uint16_t>> opened() { return std::exchange(opened_, std::nullopt); }

  private:
    struct Socket {
        bool nonblocking = false;
        uint16_t port = 0;
        bool listening = false;
        bool reported_connected = false;
        bool write_shut = false;
        bool read_shut = false;
        bool reset_on_close = false;
        bool keepalive = false;
        KeepaliveRecord keepalive_times{7200, 75, 9, {}};  ///< as on Linux
        uint32_t receive_buffer_bytes = 0;                 ///< 0: the host's default
        uint32_t send_buffer_bytes = 1 << 20;              ///< Linux takes much, too
        uint32_t written = 0;                              ///< of the write() that blocks
        ConnectionPtr connection;
    };
    using Arguments = std::vector<Value>;

    int add(Socket socket, int64_t wanted);
    Outcome connect(Socket& socket, const Arguments& arguments, bool again);
    Outcome accept(Socket& socket, const Call& call);
    Outcome write(Socket& socket, std::string_view bytes, bool nonblocking, bool again);
    Outcome write_call(Socket& socket, const Call& call, bool again);
    Outcome read_call(Socket& socket, const Call& call);
    Outcome read(Socket& socket, int64_t bytes, bool nonblocking, bool peek);
    Outcome shutdown(Socket& socket, const Arguments& arguments);
    Outcome close(int64_t fd);
    Outcome fcntl(Socket& socket, const Arguments& arguments);
    Outcome ioctl(Socket& socket, const Arguments& arguments);
    bool set_keepalive(Socket& socket, const std::string& name, int64_t value);
    static void apply_keepalive(Socket& socket);
    Outcome set_option(Socket& socket, const Arguments& arguments);
    Outcome get_option(Socket& socket, const Arguments& arguments);
    Outcome socket_call(const Call& call);

    Host& host_;
    uint16_t bind_port_;
    uint16_t connect_port_;
    uint16_t next_port_ = 40000;
    std::map<int64_t, Socket> sockets_;
    std::optional<std::pair<uint16_t, uint16_t>> opened_;
};

}  // namespace millrace::script
