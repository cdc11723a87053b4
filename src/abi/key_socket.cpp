#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <millrace/key_socket.h>

namespace millrace {
namespace {

constexpr int all_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;

bool socket_address(const std::string& directory, sockaddr_un& address) {
    const std::string path = directory + '/' + std::string(key_socket_name);
    address = {.sun_family = AF_UNIX, .sun_path = {}};
    if (path.size() >= sizeof address.sun_path) return false;
    std::memcpy(address.sun_path, path.data(), path.size());
    return true;
}

std::string failure(const std::string& what) {
    return what + ": " + std::strerror(errno);
}

}  // namespace

int make_sealed_file(std::string_view text, std::string& error) {
    const int file = memfd_create("millrace-keys", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    size_t done = 0;
    while (file >= 0 && done < text.size()) {
        const ssize_t written = write(file, text.data() + done, text.size() - done);
        if (written <= 0) break;
        done += static_cast<size_t>(written);
    }
    if (file >= 0 && done == text.size() && fcntl(file, F_ADD_SEALS, all_seals) == 0) return file;
    error = failure("memfd_create");
    if (file >= 0) close(file);
    return -1;
}

bool read_sealed_file(int file, std::string& text, std::string& error) {
    struct stat status {};
    const int seals = fcntl(file, F_GET_SEALS);
    if (seals < 0 || (seals & all_seals) != all_seals || fstat(file, &status) != 0) {
        error = "the file of keys is not sealed";
        return false;
    }
    if (status.st_size > off_t{key_bundle_bytes_max}) {
        error = "the file of keys has more than " + std::to_string(key_bundle_bytes_max) + " bytes";
        return false;
    }
    text.resize(static_cast<size_t>(status.st_size));
    size_t done = 0;
    while (done < text.size()) {
        const ssize_t got = pread(file, text.data() + done, text.size() - done, static_cast<off_t>(done));
        if (got <= 0) {
            error = failure("the file of keys");
            return false;
        }
        done += static_cast<size_t>(got);
    }
    return true;
}

int connect_to_key_socket(const std::string& directory) {
    sockaddr_un address;
    const int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (client < 0) return -1;
    if (socket_address(directory, address) &&
        connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
        return client;
    const int reason = errno;
    close(client);
    errno = reason;
    return -1;
}

int listen_at_key_socket(const std::string& directory, std::string& error) {
    sockaddr_un address;
    const int server = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    errno = ENAMETOOLONG;
    const bool named = server >= 0 && socket_address(directory, address);
    if (named) unlink(address.sun_path);
    if (named && bind(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        chmod(address.sun_path, 0660) == 0 && listen(server, 8) == 0)
        return server;
    error = failure(directory + '/' + std::string(key_socket_name));
    if (server >= 0) close(server);
    return -1;
}

bool send_file(int socket, int file) {
    char byte = 'k';
    iovec data{.iov_base = &byte, .iov_len = 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof file)] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof file);
    std::memcpy(CMSG_DATA(header), &file, sizeof file);
    return sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

int receive_file(int socket) {
    char byte = 0;
    iovec data{.iov_base = &byte, .iov_len = 1};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    const cmsghdr* header = bytes < 0 ? nullptr : CMSG_FIRSTHDR(&message);
    if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return -1;
    // The kernel's padding has room for a second one.
    std::array<int, 2> files{-1, -1};
    std::memcpy(files.data(), CMSG_DATA(header), std::min(header->cmsg_len - CMSG_LEN(0), sizeof files));
    if (bytes == 1 && files[1] < 0) return files[0];
    for (const int file : files)
        if (file >= 0) close(file);
    return -1;
}

bool peer_owns(int socket, const std::string& directory) {
    ucred peer{};
    socklen_t length = sizeof peer;
    struct stat status {};
    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return false;
    return peer.uid == 0 || (stat(directory.c_str(), &status) == 0 && peer.uid == status.st_uid);
}

}  // namespace millrace
