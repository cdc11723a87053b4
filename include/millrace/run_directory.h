// The run directory of an instance and the ordinary users that its two processes become; both programs call this, so
// that either may start first and finds the same owners and modes.
//
//   /run/millrace            root            0755
//   /run/millrace/NAME       root:GROUP     03770   set-group-ID: files get GROUP; sticky: nobody removes another's
//   file
//     config, commands       control:GROUP   0640   control writes, the dataplane reads
//     stats, events          dataplane:GROUP 0640   the dataplane writes, control reads
//     regions                dataplane:GROUP 0600
//
// GROUP is the group `millrace`; where there is none, `nogroup`. The dataplane becomes the user `millrace`, control the
// user `millrace-control`; where they don't exist, both become `nobody`: everything works, but the two processes are
// then not kept apart from each other by file modes (nor from other daemons that run as nobody).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace millrace {

struct ServiceUser {
    std::string name;
    uid_t uid;
    gid_t gid;  ///< GROUP as above, whatever the user's own group is
};

/// The user `wanted` if the machine knows it, else `nobody`. Empty when there is neither, or when it is root.
std::optional<ServiceUser> service_user(std::string_view wanted);

/// Makes run_directory(instance), and its parent, with the modes above where they are missing; as root it also repairs
/// owner and mode. An ordinary user gets a directory of its own group. False, with the reason, when that fails.
bool make_run_directory(std::string_view instance, std::string& error);

}  // namespace millrace
