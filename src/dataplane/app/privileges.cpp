#include "dataplane/app/privileges.h"

#include <algorithm>
#include <cap-ng.h>
#include <cerrno>
#include <cstring>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <millrace/assert.h>

namespace millrace::app {
namespace {

bool fails(const char* what, std::string& error) {
    error = std::string(what) + ": " + std::strerror(errno);
    return false;
}

}  // namespace

bool forbid_new_privileges(std::string& error) {
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 || fails("PR_SET_NO_NEW_PRIVS", error);
}

bool drop_privileges(const ServiceUser& user, const SnapshotView& config, std::string& error) {
    if (geteuid() != 0) return true;
    const bool af_xdp =
        std::ranges::any_of(config.interfaces(), [](const auto& i) { return i.driver == Driver::af_xdp; });
    if (setgroups(0, nullptr) != 0) return fails("setgroups", error);
    if (setresgid(user.gid, user.gid, user.gid) != 0) return fails("setresgid", error);
    // Kept by this thread only: setresuid() takes every capability from the others.
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return fails("PR_SET_KEEPCAPS", error);
    if (setresuid(user.uid, user.uid, user.uid) != 0) return fails("setresuid", error);
    capng_clear(CAPNG_SELECT_BOTH);
    if (af_xdp) capng_update(CAPNG_ADD, static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED), CAP_NET_ADMIN);
    if (capng_apply(CAPNG_SELECT_CAPS) != 0) return fails("dropping capabilities", error);
    if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return fails("PR_SET_KEEPCAPS", error);
    if (geteuid() == 0) {
        error = "still root after dropping privileges";
        return false;
    }
    return true;
}

void drop_thread_capabilities() {
    if (geteuid() == 0) return;  // nothing was dropped: a test, or a machine without an ordinary user
    capng_clear(CAPNG_SELECT_CAPS);
    MILLRACE_ASSERT(capng_apply(CAPNG_SELECT_CAPS) == 0);
}

}  // namespace millrace::app
