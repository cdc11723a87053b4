// millrace-dataplane: the polling process. Joins the instance's files, starts EAL and the devices from the published
// configuration, gives up root, and polls until SIGTERM.

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <memory>
#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <string>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <vector>

#include <millrace/run_directory.h>

#include "dataplane/app/crypto_threads.h"
#include "dataplane/app/instance.h"
#include "dataplane/app/kernel_routes.h"
#include "dataplane/app/key_receiver.h"
#include "dataplane/app/privileges.h"
#include "dataplane/app/supervisor.h"
#include "dataplane/port/burst.h"
#include "dataplane/port/device.h"
#include "dataplane/port/eal.h"
#include "dataplane/port/worker_loop.h"
#include "dataplane/worker/share_out.h"
#include "tls/handshake/wiped_memory.h"

namespace millrace {
namespace {

struct Arguments {
    std::string instance = "default";
    std::string user = "millrace";
    std::string log_file = "/dev/null";
};

[[noreturn]] void give_up(const std::string& reason) {
    spdlog::critical("{}", reason);
    std::exit(1);
}

Arguments parse_arguments(int argc, char** argv) {
    Arguments arguments;
    CLI::App app{"The dataplane of Millrace: polls the devices and relays. Configured by millrace-control."};
    app.add_option("--instance", arguments.instance, "Name of the instance")->capture_default_str();
    app.add_option("--user", arguments.user, "User to become after the start; nobody when there is no such user")
        ->capture_default_str();
    app.add_option("--log-file", arguments.log_file, "Where the output of DPDK goes")->capture_default_str();
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::exit(app.exit(error) == 0 ? 0 : 2);
    }
    if (!valid_instance_name(arguments.instance)) {
        std::fprintf(stderr, "--instance: 1 to 32 letters, digits, '-' or '_', beginning with a letter or digit\n");
        std::exit(2);
    }
    return arguments;
}

/// The signals that end the process: blocked in every thread, taken where there is time for it.
sigset_t end_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return signals;
}

/// Waits for the first configuration that is valid; control may start later. Null when a signal ends the wait.
std::unique_ptr<const config::RuntimeConfig> wait_for_config(app::Instance& instance) {
    const sigset_t signals = end_signals();
    std::string said;
    while (true) {
        std::string error;
        if (auto bytes = instance.read_config(error))
            if (auto config = config::RuntimeConfig::compile(std::move(*bytes), nullptr, error)) return config;
        if (error != said) spdlog::info("waiting for a configuration from millrace-control ({})", error);
        said = error;
        const timespec pause{0, 100'000'000};
        if (sigtimedwait(&signals, nullptr, &pause) > 0) return nullptr;
    }
}

std::vector<port::Device> open_devices(const SnapshotView& config, const store::RegionSecrets& secrets) {
    std::vector<port::Device> devices;
    uint8_t rss_key[Toeplitz::key_size];
    std::copy_n(secrets.rss_key, sizeof rss_key, rss_key);
    for (const InterfaceRecord& interface : config.interfaces()) {
        std::string error;
        port::Device device;
        if (!open_device(config, interface, rss_key, device, error)) give_up(error);
        devices.push_back(device);
    }
    return devices;
}

uint64_t random_word() {
    uint64_t word = 0;
    while (word == 0)
        if (getrandom(&word, sizeof word, 0) != sizeof word) word = 0;
    return word;
}

/// Draws the RSS key of the instance: one under which every shard can be reached from every address.
std::unique_ptr<PortClasses> draw_rss_key(store::RegionSecrets& secrets, uint32_t shard_count,
                                          std::unique_ptr<Toeplitz>& toeplitz) {
    while (true) {
        toeplitz = std::make_unique<Toeplitz>(std::span(secrets.rss_key).first<Toeplitz::key_size>());
        auto classes = std::make_unique<PortClasses>(*toeplitz, shard_count, source_port_min, uint16_t{65535});
        if (classes->complete()) return classes;
        if (getrandom(secrets.rss_key, sizeof secrets.rss_key, 0) < 0) give_up("getrandom failed");
    }
}

/// Starts EAL and refuses configurations that it could not serve.
void start_eal(const Arguments& arguments, const SnapshotView& snapshot) {
    std::string error;
    if (!app::leaves_kernel_reachable(snapshot, error)) give_up(error);
    const uint16_t worker_count = snapshot.dataplane().core_count;
    for (const InterfaceRecord& interface : snapshot.interfaces())
        if (interface.queues < worker_count)
            give_up("interface '" + std::string(snapshot.text(interface.name)) + "' has " +
                    std::to_string(interface.queues) + " queues for " + std::to_string(worker_count) +
                    " workers; set its queues to at least the number of cores");
    FILE* log = std::fopen(arguments.log_file.c_str(), "ae");
    if (log == nullptr) give_up(arguments.log_file + ": cannot be written");
    rte_openlog_stream(log);
    const port::EalProcess process{.program = "millrace-dataplane",
                                   .file_prefix = "millrace-" + arguments.instance,
                                   .directory = run_directory(arguments.instance, RunPart::dataplane)};
    if (!app::forbid_new_privileges(error) || !port::start_eal(process, snapshot, error)) give_up(error);
}

/// The workers and everything that they share, in the order in which it is built and, backwards, taken down.
class Dataplane {
  public:
    Dataplane(app::Instance& instance, const config::RuntimeConfig& config)
        : settings_(config.snapshot().dataplane()),
          port_classes_(draw_rss_key(instance.regions()[0].secrets(), settings_.shard_count, toeplitz_)),
          devices_(open_devices(config.snapshot(), instance.regions()[0].secrets())),
          orders_(settings_.core_count),
          crypto_(settings_.crypto_threads == 0 ? nullptr : std::make_unique<app::CryptoThreads>(settings_)),
          workers_(settings_.core_count) {
        make_shards(instance);
        for (uint16_t i = 0; i < workers_.size(); ++i) inboxes_.push_back(port::WorkerLoop::make_inbox(i));
        for (uint16_t i = 0; i < workers_.size(); ++i) make_worker(i, instance, config);
    }

    ~Dataplane() {
        workers_.clear();
        for (port::Device& device : devices_) port::close_device(device);
    }

    std::span<port::Orders> orders() { return orders_; }
    app::CryptoThreads* crypto() { return crypto_.get(); }  ///< null: there can be no TLS

    /// Shares the shards out to the first `polling` workers, while all stand still.
    uint32_t share_out(uint16_t polling) {
        std::vector<worker::Worker*> workers;
        std::vector<relay::Shard*> shards;
        for (const Parts& parts : workers_) workers.push_back(parts.worker.get());
        for (const auto& shard : shards_) shards.push_back(shard.get());
        return worker::share_out(workers, shards, owners_, polling, port::monotonic_us());
    }

    /// The first worker polls on this thread, the others on EAL's; returns when all have ended.
    void poll() {
        size_t next = 1;
        unsigned lcore;
        RTE_LCORE_FOREACH_WORKER(lcore) {
            if (next < workers_.size()) rte_eal_remote_launch(run_worker, &workers_[next++], lcore);
        }
        run_worker(&workers_[0]);
        rte_eal_mp_wait_lcore();
    }

  private:
    struct Parts {
        std::unique_ptr<port::WorkerLoop> loop;
        std::unique_ptr<worker::Worker> worker;
        std::vector<const relay::StatsBlock*> other_stats;
        relay::StatsBlock* stats = nullptr;
        port::Orders* orders = nullptr;
    };

    static int run_worker(void* argument) {
        auto& parts = *static_cast<Parts*>(argument);
        parts.loop->run(*parts.worker, *parts.stats, *parts.orders);
        return 0;
    }

    void make_shards(app::Instance& instance) {
        const relay::ShardLimits limits = relay::ShardLimits::of(settings_);
        const TimeUs now = port::monotonic_us();
        for (uint16_t number = 0; number < settings_.shard_count; ++number) {
            shards_.push_back(
                std::make_unique<relay::Shard>(number, std::move(instance.regions()[number]), limits, now));
            owners_.push_back(worker::owner_of(number, settings_.core_count, settings_.worker_count));
        }
    }

    void make_worker(uint16_t index, app::Instance& instance, const config::RuntimeConfig& config) {
        Parts& parts = workers_[index];
        for (uint16_t other = 0; other < workers_.size(); ++other)
            if (other != index) parts.other_stats.push_back(&instance.stats_block(other));
        parts.loop = std::make_unique<port::WorkerLoop>(index, devices_, inboxes_, settings_.idle_sleep_us);
        parts.stats = &instance.stats_block(index);
        parts.orders = &orders_[index];
        worker::WorkerSetup setup{.index = index,
                                  .worker_count = settings_.core_count,
                                  .shard_owners = owners_,
                                  .toeplitz = toeplitz_.get(),
                                  .shards = {},
                                  .macs = {},
                                  .sink = &parts.loop->sink(),
                                  .port_classes = port_classes_.get(),
                                  .stats = parts.stats,
                                  .other_stats = parts.other_stats,
                                  .events = instance.events(index),
                                  .random_seed = random_word(),
                                  .connection_id_base = instance.stats().start_unix_us * 1000,
                                  .handshakes = crypto_ ? crypto_->of_worker(index) : nullptr};
        for (const port::Device& device : devices_) setup.macs.push_back(device.mac);
        for (const auto& shard : shards_)
            if (owners_[shard->number] == index) setup.shards.push_back(shard.get());
        parts.worker = std::make_unique<worker::Worker>(setup, config);
    }

    const DataplaneRecord settings_;
    std::unique_ptr<Toeplitz> toeplitz_;
    std::unique_ptr<PortClasses> port_classes_;
    std::vector<port::Device> devices_;
    std::vector<std::unique_ptr<relay::Shard>> shards_;
    std::vector<uint16_t> owners_;  // worker of each shard
    std::vector<rte_ring*> inboxes_;
    std::vector<port::Orders> orders_;
    std::unique_ptr<app::CryptoThreads> crypto_;
    std::vector<Parts> workers_;
};

/// Starts the crypto threads, and waits for control's keys where listeners or backends need some: a client that comes
/// before them could only be refused.
std::unique_ptr<app::KeyReceiver> start_crypto(app::Instance& instance, app::CryptoThreads* crypto,
                                               const SnapshotView& snapshot) {
    constexpr int wait_ms = 2000;
    if (crypto == nullptr) return nullptr;
    crypto->start();
    auto keys = std::make_unique<app::KeyReceiver>(crypto->pool(), instance.directory(), instance.control_directory());
    std::string error;
    keys->in_force(snapshot);
    if (!keys->start(error)) give_up(error);
    const auto has_tls = [](const auto& record) { return record.tls != 0; };
    const bool needed =
        std::ranges::any_of(snapshot.listeners(), has_tls) || std::ranges::any_of(snapshot.backends(), has_tls);
    if (needed && !keys->wait(wait_ms))
        spdlog::warn(
            "no keys have come from millrace-control yet: until they do, clients with TLS are refused, and servers "
            "with TLS are not reached");
    return keys;
}

int serve(const Arguments& arguments) {
    std::string error;
    app::Instance instance(arguments.instance);
    if (!instance.acquire(error)) give_up(error);
    auto config = wait_for_config(instance);
    if (!config) {
        spdlog::info("ended without a configuration");
        return 0;
    }
    const SnapshotView& snapshot = config->snapshot();
    const DataplaneRecord& settings = snapshot.dataplane();
    start_eal(arguments, snapshot);
    if (!instance.create_regions(settings, error)) give_up(error);
    if (!instance.create_shared_files(settings.core_count, rte_get_tsc_hz(), error)) give_up(error);
    {
        Dataplane dataplane(instance, *config);
        const std::optional<ServiceUser> user = service_user(arguments.user);
        if (!user) give_up("neither the user '" + arguments.user + "' nor 'nobody' exists; name another with --user");
        if (!instance.give_files_to(*user, error)) give_up(error);
        if (!app::drop_privileges(*user, snapshot, error)) give_up(error);
        spdlog::info("instance '{}' serves with {} of {} worker(s) and {} shard(s), as user {}", arguments.instance,
                     settings.worker_count, settings.core_count, settings.shard_count, user->name);
        const std::unique_ptr<app::KeyReceiver> keys = start_crypto(instance, dataplane.crypto(), snapshot);
        app::Supervisor supervisor(
            instance, std::move(config), dataplane.orders(),
            [&](uint16_t polling) { return dataplane.share_out(polling); },
            [&](const SnapshotView& in_force) {
                if (keys) keys->in_force(in_force);
            });
        dataplane.poll();
    }
    instance.remove_files();
    spdlog::info("ended");
    return 0;
}

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
    if (!millrace::tls::wipe_freed_memory()) {
        std::fprintf(stderr, "OpenSSL was used too early (a fault of Millrace)\n");
        return 1;
    }
    const millrace::Arguments arguments = millrace::parse_arguments(argc, argv);
    spdlog::set_default_logger(spdlog::stderr_color_mt("millrace-dataplane"));
    const sigset_t signals = millrace::end_signals();
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    // A terminal or a log reader that goes away ends no relay.
    std::signal(SIGHUP, SIG_IGN);
    std::signal(SIGPIPE, SIG_IGN);
    millrace::survive_truncation();
    return millrace::serve(arguments);
}
