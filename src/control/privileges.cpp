#include "control/privileges.h"

#include <cap-ng.h>
#include <cerrno>
#include <cstring>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace millrace::control {

namespace {

bool fails(const char* what, std::string& error) {
    error = std::string(what) + ": " + std::strerror(errno);
    return false;
}

}  // namespace

bool drop_privileges(const ServiceUser& user, std::string& error) {
    if (geteuid() == 0) {
        capng_clear(CAPNG_SELECT_ALL);
        // The bounding set can only be emptied while root's capabilities are still there.
        if (capng_apply(CAPNG_SELECT_BOUNDS) != 0) return fails("emptying the capability bounding set", error);
        if (setgroups(0, nullptr) != 0) return fails("setgroups", error);
        if (setresgid(user.gid, user.gid, user.gid) != 0) return fails("setresgid", error);
        if (setresuid(user.uid, user.uid, user.uid) != 0) return fails("setresuid", error);
    }
    capng_clear(CAPNG_SELECT_BOTH);
    if (capng_apply(CAPNG_SELECT_CAPS) != 0) return fails("dropping capabilities", error);
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return fails("clearing ambient set", error);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fails("PR_SET_NO_NEW_PRIVS", error);
    if (geteuid() == 0 || (capng_get_caps_process(), capng_have_capabilities(CAPNG_SELECT_CAPS)) != CAPNG_NONE) {
        error = "still privileged after dropping privileges";
        return false;
    }
    return true;
}

}  // namespace millrace::control
