// Leaving root behind, once, before anything of the configuration is acted upon and before any thread starts.
#pragma once

#include <string>

#include <millrace/run_directory.h>

namespace millrace::control {

/// Becomes `user` with its group alone, without any capability (bounding, ambient and inheritable sets too), and can
/// never gain any again (PR_SET_NO_NEW_PRIVS). An ordinary user only gives up what it could gain. False, with the
/// reason, when any step fails: the process must end then.
bool drop_privileges(const ServiceUser& user, std::string& error);

}  // namespace millrace::control
