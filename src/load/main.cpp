// millrace-load: starts DPDK and the devices, lets a run poll until it is over, and prints what it found out. Exits
// with 0 only when everything that was asked for came about and no message was lost, repeated, changed or misled.

#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <rte_log.h>
#include <string>
#include <unistd.h>

#include "dataplane/port/burst.h"
#include "dataplane/port/device.h"
#include "dataplane/port/eal.h"
#include "dataplane/port/solo_loop.h"
#include "load/addresses.h"
#include "load/options.h"
#include "load/result.h"

namespace millrace::load {
namespace {

std::atomic<bool> interrupted = false, hold_ended = false;

void on_signal(int number) {
    (number == SIGUSR1 ? hold_ended : interrupted).store(true, std::memory_order_relaxed);
}

[[noreturn]] void give_up(const std::string& reason) {
    std::fprintf(stderr, "millrace-load: %s\n", reason.c_str());
    std::exit(1);
}

/// EAL's own directory, gone with this object.
struct RuntimeDirectory {
    RuntimeDirectory() {
        char name[] = "/tmp/millrace-load-XXXXXX";
        if (mkdtemp(name) == nullptr) give_up("no directory can be made in /tmp");
        path = name;
    }
    ~RuntimeDirectory() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    RuntimeDirectory(const RuntimeDirectory&) = delete;
    RuntimeDirectory& operator=(const RuntimeDirectory&) = delete;

    std::string path;
};

/// A memif client finds nothing before its server has made the socket.
void wait_for_sockets(const SnapshotView& snapshot, double timeout_s) {
    for (const InterfaceRecord& interface : snapshot.interfaces()) {
        if (interface.driver != Driver::memif || interface.memif_server != 0) continue;
        const std::string path(snapshot.text(interface.device));
        const TimeUs until = port::monotonic_us() + static_cast<TimeUs>(std::min(timeout_s, 10.0) * 1e6);
        while (access(path.c_str(), F_OK) != 0) {
            if (interrupted || port::monotonic_us() > until)
                give_up(path + ": nobody has made this socket; start the balancer first, or be the server of it (" +
                        path + ",server)");
            usleep(10'000);
        }
    }
}

void start_eal(const Options& options, const SnapshotView& snapshot, const std::string& directory) {
    std::FILE* log = std::fopen(options.log_file.c_str(), "ae");
    if (log == nullptr) give_up(options.log_file + ": cannot be written");
    rte_openlog_stream(log);
    const std::string prefix = "millrace-load-" + std::to_string(getpid());
    std::string error;
    if (!port::start_eal({"millrace-load", prefix, directory}, snapshot, error))
        give_up(error + "; name a file with --log-file to see why");
}

std::vector<port::Device> open_devices(const SnapshotView& snapshot) {
    constexpr uint8_t no_rss[40] = {};
    std::vector<port::Device> devices;
    for (const InterfaceRecord& interface : snapshot.interfaces()) {
        std::string error;
        if (!port::open_device(snapshot, interface, no_rss, devices.emplace_back(), error)) give_up(error);
    }
    return devices;
}

/// Polls until the run is over, with a line a second for whoever watches.
void poll(Run& run, port::SoloLoop& loop) {
    const bool watched = isatty(STDERR_FILENO) != 0;
    TimeUs told_at = port::monotonic_us();
    loop.run(run, [&](TimeUs now) {
        if (interrupted) run.stop("interrupted");
        if (hold_ended) run.end_hold();
        if (watched && now - told_at >= us_per_s) {
            told_at = now;
            std::fprintf(stderr, "\r\033[K%s", run.progress(now).c_str());
        }
        return !run.over();
    });
    if (watched) std::fputs("\r\033[K", stderr);
}

bool write_histogram(const Run& run, const std::string& path) {
    if (path.empty()) return true;
    std::FILE* file = std::fopen(path.c_str(), "we");
    if (file == nullptr) return false;
    run.figures().latency.write(file);
    return std::fclose(file) == 0;
}

int work(const Options& options) {
    std::string error;
    const auto config = config::RuntimeConfig::compile(make_snapshot(options.settings), nullptr, error);
    if (!config) give_up(error);
    const RuntimeDirectory directory;
    wait_for_sockets(config->snapshot(), options.settings.timeout_s);
    start_eal(options, config->snapshot(), directory.path);
    std::vector<port::Device> devices = open_devices(config->snapshot());
    bool succeeded = false;
    {
        port::SoloLoop loop(devices);
        std::vector<MacAddress> macs;
        for (const port::Device& device : devices) macs.push_back(device.mac);
        const auto cycles = [&] { return Cycles{loop.cycles().busy(), loop.cycles().device(), loop.cycles().idle()}; };
        Run run(options.settings, *config, loop.sink(), macs, port::monotonic_us(), cycles);
        poll(run, loop);
        succeeded = run.succeeded();
        std::fputs(summary(run).c_str(), stdout);
        if (!write_histogram(run, options.histogram)) {
            std::fprintf(stderr, "millrace-load: %s: cannot be written\n", options.histogram.c_str());
            succeeded = false;
        }
        if (options.json) std::printf("%s\n", json_object(run).c_str());
    }
    for (port::Device& device : devices) port::close_device(device);
    return succeeded ? 0 : 1;
}

}  // namespace
}  // namespace millrace::load

int main(int argc, char** argv) {
    const millrace::load::Options options = millrace::load::parse_options(argc, argv);
    struct sigaction action {};
    action.sa_handler = millrace::load::on_signal;
    sigaction(SIGINT, &action, nullptr);
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGUSR1, &action, nullptr);
    return millrace::load::work(options);
}
