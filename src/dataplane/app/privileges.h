// Leaving root behind once the devices run: the dataplane goes on as an ordinary user with no capability but what the
// drivers in use need to be closed again.
#pragma once

#include <string>

#include <millrace/run_directory.h>
#include <millrace/snapshot.h>

namespace millrace::app {

/// No program that this process or a later thread of it starts can gain privileges. Call it before any thread starts.
bool forbid_new_privileges(std::string& error);

/// Becomes `user` in every thread; the calling thread keeps the capabilities that the drivers of `config` need:
/// CAP_NET_ADMIN for AF_XDP, to take its program off the interface at the end. Nothing to do for an ordinary user.
bool drop_privileges(const ServiceUser& user, const SnapshotView& config, std::string& error);

/// Takes every capability from the calling thread, which may have inherited some from the one that started it.
void drop_thread_capabilities();

}  // namespace millrace::app
