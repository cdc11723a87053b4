// A controller with its API in this process: the main thread's loop on a thread, sockets in a temporary run directory.
#pragma once

#include <atomic>
#include <gtest/gtest.h>
#include <httplib.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <thread>

#include "control/api/api.h"
#include "control/controller.h"
#include "fake_dataplane.h"
#include "temp_run.h"

namespace millrace::control::test {

using nlohmann::json;

/// Waits at most `limit_ms` for `condition`.
template <typename Condition>
bool eventually(Condition condition, int limit_ms = 5000) {
    for (int waited = 0; waited < limit_ms; waited += 5) {
        if (condition()) return true;
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return condition();
}

class RunningControl {
  public:
    explicit RunningControl(const TempRun& run) : controller("test", run.config_path()), api_(controller) {
        std::string error;
        const auto bind = [&](const char* name, Role role) {
            if (!api_.bind(run.control_directory() + '/' + name, role, 0660, static_cast<uid_t>(-1),
                           static_cast<gid_t>(-1), error))
                throw std::runtime_error(error);
        };
        bind("admin.sock", Role::admin);
        bind("operator.sock", Role::operator_);
        bind("viewer.sock", Role::viewer);
        if (!controller.open(error)) throw std::runtime_error(error);
        SystemResolver resolver;
        controller.start_with(load_config(run.config_path(), resolver));
        api_.start();
        thread_ = std::thread([this] {
            while (!ending_) {
                pollfd wake{controller.wake_descriptor(), POLLIN, 0};
                poll(&wake, 1, controller.turn());
            }
            controller.release_callers();
        });
    }
    ~RunningControl() {
        ending_ = true;
        thread_.join();
        api_.stop();
    }

    Controller controller;

  private:
    api::Api api_;
    std::atomic<bool> ending_ = false;
    std::thread thread_;
};

struct Answer {
    int status = 0;
    json body;
};

class ApiClient {
  public:
    explicit ApiClient(const std::string& socket) : http_(socket) {
        http_.set_address_family(AF_UNIX);
        http_.set_read_timeout(10);
    }
    Answer get(const std::string& path) { return of(http_.Get(path)); }
    Answer post(const std::string& path, const std::string& body = "") {
        return of(http_.Post(path, body, "text/plain"));
    }
    Answer put(const std::string& path, const std::string& body) { return of(http_.Put(path, body, "text/plain")); }
    httplib::Client& http() { return http_; }

  private:
    static Answer of(const httplib::Result& result) {
        if (!result) return {};
        return {result->status, json::parse(result->body, nullptr, false)};
    }
    httplib::Client http_;
};

}  // namespace millrace::control::test
