// millracectl's only way to an instance: the admin API over its Unix socket. Knows HTTP and JSON, not what they mean.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace millrace::cli {

using Json = nlohmann::ordered_json;

/// The command can't be done; what() says why and, where there is one, the remedy. Exit code 1.
class Failure : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
    /// With the API's answer, which --json prints.
    Failure(const std::string& why, Json answer) : std::runtime_error(why), answer_(std::move(answer)) {}
    const Json& answer() const { return answer_; }

  private:
    Json answer_;
};

class Client {
  public:
    /// `instance` is for messages only.
    Client(std::string socket, std::string instance) : socket_(std::move(socket)), instance_(std::move(instance)) {}

    // Each returns the answer's JSON, or throws Failure when there is none or its status is not 2xx.
    Json get(const std::string& path) const;
    Json post(const std::string& path, const std::string& body = "") const;
    Json put(const std::string& path, const Json& body) const;

    using OnBytes = std::function<void(std::string_view)>;

    /// GETs a stream of bytes, to its end. Failure when it is refused, or breaks off.
    void receive(const std::string& path, const OnBytes& on_bytes) const;

    /// GETs a stream of JSON lines; `on_line` gets each one without its newline. Ends with Failure when the stream
    /// ends.
    void follow(const std::string& path, const std::function<void(const std::string&)>& on_line) const;

  private:
    void check_socket() const;

    std::string socket_;
    std::string instance_;
};

}  // namespace millrace::cli
