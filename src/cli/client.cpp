#include "cli/client.h"

#include <cerrno>
#include <cstring>
#include <httplib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace millrace::cli {

namespace {

httplib::Client connect_to(const std::string& socket, int read_timeout_s) {
    httplib::Client http(socket);
    http.set_address_family(AF_UNIX);
    http.set_connection_timeout(2);
    http.set_read_timeout(read_timeout_s);
    // Header and body go in two writes; nothing waits in between on a Unix socket.
    http.set_default_headers({{"Host", "localhost"}});
    return http;
}

Json json_of(const httplib::Result& result) {
    if (!result) throw Failure("millrace-control did not answer: " + httplib::to_string(result.error()));
    Json answer = Json::parse(result->body, nullptr, false);
    if (result->status / 100 == 2 && !answer.is_discarded()) return answer;
    if (answer.is_object() && answer.contains("error") && answer["error"].is_string())
        throw Failure(answer["error"].get<std::string>(), answer);
    throw Failure("millrace-control answered with status " + std::to_string(result->status));
}

}  // namespace

/// httplib only says "could not connect"; why is what the operator needs.
void Client::check_socket() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (socket_.size() >= sizeof address.sun_path) throw Failure(socket_ + ": too long for a Unix socket");
    std::memcpy(address.sun_path, socket_.data(), socket_.size());
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool connected =
        descriptor >= 0 && connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    const int error = errno;
    if (descriptor >= 0) close(descriptor);
    if (connected) return;
    if (error == ENOENT || error == ECONNREFUSED)
        throw Failure("no millrace-control runs for instance " + instance_ + " (" + socket_ +
                      "); start it: millrace-control --instance " + instance_ + " --config FILE");
    if (error == EACCES) throw Failure(socket_ + ": permission denied; run as root or join the group millrace");
    throw Failure(socket_ + ": " + std::strerror(error));
}

Json Client::get(const std::string& path) const {
    check_socket();
    return json_of(connect_to(socket_, 30).Get(path));
}

Json Client::post(const std::string& path, const std::string& body) const {
    check_socket();
    // A reload waits for name servers.
    return json_of(connect_to(socket_, 120).Post(path, body, "text/plain"));
}

Json Client::put(const std::string& path, const Json& body) const {
    check_socket();
    return json_of(connect_to(socket_, 30).Put(path, body.dump(), "application/json"));
}

void Client::receive(const std::string& path, const OnBytes& on_bytes) const {
    check_socket();
    constexpr int quiet_s = 365 * 24 * 3600;  // there may be nothing to tell for long
    std::string refusal;
    int status = 0;
    const auto result = connect_to(socket_, quiet_s)
                            .Get(
                                path,
                                [&](const httplib::Response& response) {
                                    status = response.status;
                                    return true;
                                },
                                [&](const char* data, size_t size) {
                                    if (status == 200) {
                                        on_bytes({data, size});
                                        return true;
                                    }
                                    refusal.append(data, size);
                                    return refusal.size() < 4096;
                                });
    if (result && status == 200) return;
    const Json answer = Json::parse(refusal, nullptr, false);
    if (answer.is_object() && answer.contains("error")) throw Failure(answer["error"].get<std::string>(), answer);
    throw Failure("millrace-control ended the stream");
}

void Client::follow(const std::string& path, const std::function<void(const std::string&)>& on_line) const {
    std::string rest;
    receive(path, [&](std::string_view bytes) {
        rest.append(bytes);
        size_t begin = 0;
        for (size_t end; (end = rest.find('\n', begin)) != std::string::npos; begin = end + 1)
            on_line(rest.substr(begin, end - begin));
        rest.erase(0, begin);
    });
    throw Failure("millrace-control ended the stream");
}

}  // namespace millrace::cli
