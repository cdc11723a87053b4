// getaddrinfo(3) behind the Resolver interface. Nothing else in the project asks a name server.
#include "control/config/resolver.h"

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <thread>

namespace millrace::control {

namespace {

std::vector<IpAddress> look_up(const std::string& host, std::string& error) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int code = getaddrinfo(host.c_str(), nullptr, &hints, &found);
    if (code != 0) {
        error = gai_strerror(code);
        return {};
    }
    std::vector<IpAddress> addresses;
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
        IpAddress address;
        if (entry->ai_family == AF_INET) {
            address = IpAddress::v4(0, 0, 0, 0);
            std::memcpy(address.bytes.data() + 12, &reinterpret_cast<sockaddr_in*>(entry->ai_addr)->sin_addr, 4);
        } else if (entry->ai_family == AF_INET6) {
            std::memcpy(address.bytes.data(), &reinterpret_cast<sockaddr_in6*>(entry->ai_addr)->sin6_addr, 16);
        } else {
            continue;
        }
        addresses.push_back(address);
    }
    freeaddrinfo(found);
    if (addresses.empty()) error = "it has no address";
    return addresses;
}

}  // namespace

struct SystemResolver::Shared {
    std::mutex mutex;
    std::condition_variable changed;
    bool given_up = false;
};

SystemResolver::SystemResolver() : shared_(std::make_shared<Shared>()) {}

std::vector<IpAddress> SystemResolver::resolve(const std::string& host, std::string& error) {
    struct Answer {
        bool there = false;
        std::vector<IpAddress> addresses;
        std::string error;
    };
    const auto answer = std::make_shared<Answer>();
    std::unique_lock lock(shared_->mutex);
    if (!shared_->given_up)
        std::thread([shared = shared_, answer, host] {
            std::string why;
            std::vector<IpAddress> found = look_up(host, why);
            std::lock_guard done(shared->mutex);
            *answer = {true, std::move(found), std::move(why)};
            shared->changed.notify_all();
        }).detach();
    shared_->changed.wait(lock, [&] { return answer->there || shared_->given_up; });
    error = answer->there ? answer->error : "millrace-control is ending";
    return answer->addresses;
}

void SystemResolver::give_up() {
    std::lock_guard lock(shared_->mutex);
    shared_->given_up = true;
    shared_->changed.notify_all();
}

}  // namespace millrace::control
