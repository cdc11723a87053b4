// The run directory of an instance and the ordinary users that its two processes become. Each process makes its own
// part; either may start first.
//
//   /run/millrace               root               0755
//   /run/millrace/NAME          root:GROUP         0750   nobody but root makes or removes anything in it
//     control/                  control:GROUP     02750   set-group-ID: files get GROUP
//       config, commands, ...   control:GROUP      0640   control writes, the dataplane reads
//       lock                    control:GROUP      0600
//       admin.sock              control:GROUP      0660   the way in for the members of GROUP
//     dataplane/                dataplane:GROUP   02750
//       stats, events           dataplane:GROUP    0640   the dataplane writes, control reads
//       lock                    dataplane:GROUP    0600
//       regions/shard-N         dataplane:GROUP    0600   in a directory of mode 0700
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

/// Each process's part of a run directory.
enum class RunPart : uint8_t { control, dataplane };

/// $MILLRACE_RUN/NAME, by default /run/millrace/NAME.
std::string run_directory(std::string_view instance);
/// `control` or `dataplane` in it.
std::string run_directory(std::string_view instance, RunPart part);

/// Makes run_directory(instance, part) and what is above it, and locks it against a second process of its kind. What is
/// there already is repaired, once it is ours: as root, the part is root's alone until hand_over_run_directory(), so
/// that nobody can change it under the feet of a start. An ordinary user makes them its own, or finds its part made.
/// Returns the lock, a descriptor to keep open; -1, with the reason, when that fails.
int take_run_directory(std::string_view instance, RunPart part, std::string& error);

/// Gives the part to the user that the process becomes, with the plain files in it, also those that a process of
/// another user left there. Nothing to do for an ordinary user.
bool hand_over_run_directory(std::string_view instance, RunPart part, const ServiceUser& user, std::string& error);

}  // namespace millrace
