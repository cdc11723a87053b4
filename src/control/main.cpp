// millrace-control: checks servers' health, loads and publishes the configuration, and answers the admin API. Starts as
// root only to make the run directory and its sockets; then it is an ordinary user without any capability.
//
// Ends on SIGTERM and SIGINT and leaves `config` and `commands` in place: the dataplane goes on with them, and the next
// control takes them up. SIGHUP reloads the configuration.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <grp.h>
#include <poll.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <millrace/run_directory.h>
#include <millrace/shared_file.h>

#include "control/api/api.h"
#include "control/controller.h"
#include "control/privileges.h"
#include "control/publisher.h"
#include "control/servers.h"

namespace millrace::control {
namespace {

struct Options {
    std::string instance = "default";
    std::string config_path;
    std::string user;
    bool check = false;
};

int fail(const std::string& why) {
    spdlog::error("{}", why);
    return 1;
}

int check(const Options& options) {
    SystemResolver resolver;
    const LoadResult loaded = load_config(options.config_path, resolver, {.core_count = 0, .check_only = true});
    for (const Diagnostic& diagnostic : loaded.diagnostics) std::fprintf(stderr, "%s\n", to_string(diagnostic).c_str());
    if (loaded.ok()) std::printf("%s: ok\n", options.config_path.c_str());
    return loaded.ok() ? 0 : 1;
}

/// The user to become; empty with the reason when there is none. Only asked as root.
std::optional<ServiceUser> choose_user(const Options& options, const ControlSettings& settings, std::string& error) {
    const std::string& wanted = options.user.empty() ? settings.user : options.user;
    const auto user = service_user(wanted);
    if (!user)
        error = "can't run as user " + wanted + ": it is root, or neither it nor nobody exists";
    else if (user->name != wanted && !options.user.empty())
        error = "no such user: " + wanted;
    else if (user->name != wanted)
        spdlog::warn(
            "user {} does not exist, so running as {}; to keep the two processes apart: adduser --system "
            "--group millrace && adduser --system --ingroup millrace {}",
            wanted, user->name, wanted);
    if (!error.empty()) return std::nullopt;
    return user;
}

bool bind_sockets(api::Api& api, const std::string& directory, const ControlSettings& settings,
                  const std::optional<ServiceUser>& user, std::string& error) {
    for (const AdminSocket& socket : settings.admin_sockets) {
        const std::string path = socket.path.starts_with('/') ? socket.path : directory + '/' + socket.path;
        uid_t owner = static_cast<uid_t>(-1);
        gid_t group = static_cast<gid_t>(-1);
        if (user) {
            owner = user->uid;
            group = user->gid;
        }
        if (!socket.group.empty()) {
            const struct group* entry = getgrnam(socket.group.c_str());
            if (entry == nullptr) {
                error = "admin socket " + path + ": no such group: " + socket.group;
                return false;
            }
            group = entry->gr_gid;
        }
        if (!api.bind(path, socket.role, socket.mode, owner, group, error)) return false;
    }
    return true;
}

/// Blocks signals in this thread and those to come, and returns a descriptor that they can be read from. -1 on failure.
int take_signals(std::initializer_list<int> numbers) {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int number : numbers) sigaddset(&signals, number);
    if (pthread_sigmask(SIG_BLOCK, &signals, nullptr) != 0) return -1;
    return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

void run(Controller& controller, int signals) {
    for (;;) {
        pollfd waiting[] = {{signals, POLLIN, 0}, {controller.wake_descriptor(), POLLIN, 0}};
        poll(waiting, 2, controller.turn());
        signalfd_siginfo signal;
        while (read(signals, &signal, sizeof signal) == sizeof signal) {
            if (signal.ssi_signo == SIGHUP) {
                controller.reload_in_background();
                continue;
            }
            spdlog::info("ending on signal {}; the dataplane goes on", signal.ssi_signo);
            return;
        }
    }
}

int serve(const Options& options) {
    std::signal(SIGPIPE, SIG_IGN);  // a log reader that goes away
    survive_truncation();
    // While names are waited for, which may take long, SIGTERM and SIGINT end the process as they end any: nothing is
    // there yet that would have to be tidied up. A reload waits.
    const int early_signals = take_signals({SIGHUP});
    std::error_code path_error;
    const std::string config_path = std::filesystem::absolute(options.config_path, path_error);
    SystemResolver resolver;
    LoadOptions load_options;
    if (const auto last = read_snapshot(run_directory(options.instance, RunPart::control) + "/config"))
        load_options.last_addresses = last_addresses(last->view);
    LoadResult loaded = load_config(config_path, resolver, load_options);
    if (!loaded.ok()) {
        for (const Diagnostic& diagnostic : loaded.diagnostics) spdlog::error("{}", to_string(diagnostic));
        return fail("not started: " + config_path + " has errors");
    }
    const int signals = take_signals({SIGTERM, SIGINT, SIGHUP});
    if (early_signals < 0 || signals < 0) return fail("can't take signals");
    close(early_signals);
    std::string error;
    std::optional<ServiceUser> user;
    if (geteuid() == 0 && !(user = choose_user(options, loaded.config.control, error))) return fail(error);
    if (take_run_directory(options.instance, RunPart::control, error) < 0) return fail(error);

    Controller controller(options.instance, config_path);
    api::Api api(controller);
    if (!bind_sockets(api, run_directory(options.instance, RunPart::control), loaded.config.control, user, error))
        return fail(error);
    if (user && !hand_over_run_directory(options.instance, RunPart::control, *user, error)) return fail(error);
    if (!drop_privileges(user.value_or(ServiceUser{"", geteuid(), getegid()}), error)) return fail(error);
    umask(0027);
    if (access(config_path.c_str(), R_OK) != 0)
        spdlog::warn("user {} can't read {}, so reloads will fail: make it readable by the group millrace",
                     user ? user->name : std::to_string(geteuid()), config_path);
    if (!controller.open(error)) return fail(error);
    const ReloadResult result = controller.start_with(std::move(loaded));
    if (result.outcome == ReloadOutcome::not_published) return 1;
    spdlog::info("millrace-control {} serves instance {} as uid {}", MILLRACE_VERSION, options.instance, geteuid());
    api.start();
    run(controller, signals);
    controller.release_callers();
    api.stop();
    return 0;
}

int main_function(int argc, char** argv) {
    CLI::App app("The control process of a Millrace instance: configuration, health checks, admin API.");
    Options options;
    app.add_option("--instance", options.instance, "Name of the instance")->capture_default_str();
    app.add_option("--config", options.config_path, "Configuration file (TOML)")->required();
    app.add_option("--user", options.user, "User to become when started as root (default: control.user of the file)");
    app.add_flag("--check", options.check, "Check the configuration file and end: exit code 0 or 1");
    app.set_version_flag("--version", MILLRACE_VERSION);
    try {
        app.parse(argc, argv);
        if (!valid_instance_name(options.instance))
            throw CLI::ValidationError("--instance", "1 to 32 of a-z A-Z 0-9 - _, beginning with a letter or digit");
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }
    if (options.check) return check(options);
    spdlog::set_default_logger(spdlog::stderr_logger_mt("millrace-control"));
    spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    return serve(options);
}

}  // namespace
}  // namespace millrace::control

int main(int argc, char** argv) {
    return millrace::control::main_function(argc, argv);
}
