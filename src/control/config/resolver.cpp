// getaddrinfo(3) behind the Resolver interface. Nothing else in the project asks a name server.
#include "control/config/resolver.h"

#include <cstring>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace millrace::control {

std::vector<IpAddress> SystemResolver::resolve(const std::string& host, std::string& error) {
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

}  // namespace millrace::control
