// Owners and modes of <millrace/run_directory.h>. Runs at start only, as root or as an ordinary user.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <millrace/run_directory.h>

namespace millrace {

namespace {

constexpr mode_t parent_mode = 0755;
constexpr mode_t instance_mode = 0750;
constexpr mode_t part_mode = 02750;

std::optional<gid_t> shared_group() {
    for (const char* name : {"millrace", "nogroup", "nobody"})
        if (const group* entry = getgrnam(name)) return entry->gr_gid;
    return std::nullopt;
}

bool fails(const std::string& path, const char* what, std::string& error) {
    error = path + ": " + what + ": " + std::strerror(errno);
    return false;
}

/// Makes it with its mode in one step: the other process, which starts at the same time, must not come upon a directory
/// that is closed to it.
bool make_directory(const std::string& path, mode_t mode, std::string& error) {
    const mode_t mask = umask(0);
    const bool made = mkdir(path.c_str(), mode) == 0 || errno == EEXIST;
    umask(mask);
    if (!made) return fails(path, "mkdir", error);
    struct stat status;
    if (lstat(path.c_str(), &status) != 0) return fails(path, "stat", error);
    if (S_ISDIR(status.st_mode)) return true;
    error = path + ": is not a directory";
    return false;
}

/// Sets what may be set: all as root, the mode of one's own. Another user's directory is as its owner made it: what we
/// may not do in it, the first open tells.
bool repair_directory(const std::string& path, mode_t mode, std::string& error) {
    struct stat status;
    if (lstat(path.c_str(), &status) != 0) return fails(path, "stat", error);
    const bool root = geteuid() == 0;
    if (root) {
        const std::optional<gid_t> group = shared_group();
        if (!group) {
            error = "neither the group millrace nor nogroup exists";
            return false;
        }
        if ((status.st_uid != 0 || status.st_gid != *group) && lchown(path.c_str(), 0, *group) != 0)
            return fails(path, "chown", error);
    }
    if ((root || status.st_uid == geteuid()) && (status.st_mode & 07777) != mode && chmod(path.c_str(), mode) != 0)
        return fails(path, "chmod", error);
    return true;
}

/// The descriptor; -1 with the reason.
int lock_part(std::string_view instance, RunPart part, std::string& error) {
    const std::string path = run_directory(instance, part) + "/lock";
    const int lock = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0) {
        fails(path, "open", error);
    } else if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        error = std::string("another millrace-") + (part == RunPart::control ? "control" : "dataplane") +
                " of instance '" + std::string(instance) + "' is running (it holds " + path + ")";
        close(lock);
        return -1;
    }
    return lock;
}

/// Gives the plain files of a directory to `user`: those of an earlier process may belong to another one. What has a
/// second name may be anybody's file, and stays.
bool adopt_files(const std::string& path, const ServiceUser& user, std::string& error) {
    DIR* const directory = opendir(path.c_str());
    if (directory == nullptr) return fails(path, "opendir", error);
    bool good = true;
    while (const dirent* entry = readdir(directory)) {
        const int file = openat(dirfd(directory), entry->d_name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat status;
        if (file >= 0 && fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1 &&
            (status.st_uid != user.uid || status.st_gid != user.gid) &&
            fchownat(file, "", user.uid, user.gid, AT_EMPTY_PATH) != 0)
            good = fails(path + '/' + entry->d_name, "chown", error);
        if (file >= 0) close(file);
    }
    closedir(directory);
    return good;
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

std::string run_directory(std::string_view instance) {
    const char* base = std::getenv("MILLRACE_RUN");
    return std::string(base != nullptr && *base != '\0' ? base : "/run/millrace") + '/' + std::string(instance);
}

std::string run_directory(std::string_view instance, RunPart part) {
    return run_directory(instance) + (part == RunPart::control ? "/control" : "/dataplane");
}

int take_run_directory(std::string_view instance, RunPart part, std::string& error) {
    const std::string path = run_directory(instance), own = run_directory(instance, part);
    const std::string parent = path.substr(0, path.rfind('/'));
    if (!make_directory(parent, parent_mode, error) || !make_directory(path, instance_mode, error) ||
        !make_directory(own, part_mode, error))
        return -1;
    const int lock = lock_part(instance, part, error);
    if (lock < 0) return -1;
    if (repair_directory(path, instance_mode, error) && repair_directory(own, part_mode, error)) return lock;
    close(lock);
    return -1;
}

bool hand_over_run_directory(std::string_view instance, RunPart part, const ServiceUser& user, std::string& error) {
    if (geteuid() != 0) return true;
    const std::string path = run_directory(instance, part);
    return adopt_files(path, user, error) &&
           (lchown(path.c_str(), user.uid, user.gid) == 0 || fails(path, "chown", error));
}

}  // namespace millrace
