// Owners and modes of <millrace/run_directory.h>. Runs at start only, as root or as an ordinary user.
#include <cerrno>
#include <cstring>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <millrace/run_directory.h>
#include <millrace/shared_file.h>

namespace millrace {

namespace {

constexpr mode_t run_directory_mode = 03770;

std::optional<gid_t> shared_group() {
    for (const char* name : {"millrace", "nogroup", "nobody"})
        if (const group* entry = getgrnam(name)) return entry->gr_gid;
    return std::nullopt;
}

bool fails(const std::string& path, const char* what, std::string& error) {
    error = path + ": " + what + ": " + std::strerror(errno);
    return false;
}

bool make_directory(const std::string& path, mode_t mode, std::string& error) {
    if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return fails(path, "mkdir", error);
    struct stat status;
    if (lstat(path.c_str(), &status) != 0) return fails(path, "stat", error);
    if (!S_ISDIR(status.st_mode)) {
        error = path + ": is not a directory";
        return false;
    }
    return true;
}

}  // namespace

std::optional<ServiceUser> service_user(std::string_view wanted) {
    const std::optional<gid_t> group = shared_group();
    if (!group) return std::nullopt;
    const std::string names[] = {std::string(wanted), "nobody"};
    for (const std::string& name : names) {
        const passwd* entry = getpwnam(name.c_str());
        if (entry == nullptr) continue;
        if (entry->pw_uid == 0) return std::nullopt;
        return ServiceUser{name, entry->pw_uid, *group};
    }
    return std::nullopt;
}

bool make_run_directory(std::string_view instance, std::string& error) {
    const std::string path = run_directory(instance);
    const std::string parent = path.substr(0, path.rfind('/'));
    if (!make_directory(parent, 0755, error) || !make_directory(path, 0700, error)) return false;
    struct stat status;
    if (stat(path.c_str(), &status) != 0) return fails(path, "stat", error);
    const bool root = geteuid() == 0;
    if (root) {
        const std::optional<gid_t> group = shared_group();
        if (!group) {
            error = "neither the group millrace nor nogroup exists";
            return false;
        }
        if ((status.st_uid != 0 || status.st_gid != *group) && chown(path.c_str(), 0, *group) != 0)
            return fails(path, "chown", error);
    }
    // Another user's directory is as its owner made it: what we may not do in it, the first open tells.
    if ((root || status.st_uid == geteuid()) && (status.st_mode & 07777) != run_directory_mode &&
        chmod(path.c_str(), run_directory_mode) != 0)
        return fails(path, "chmod", error);
    return true;
}

}  // namespace millrace
