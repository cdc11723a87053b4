#include "dataplane/app/crypto_threads.h"

#include <algorithm>
#include <spdlog/spdlog.h>
#include <sys/prctl.h>
#include <time.h>

#include "dataplane/app/cores.h"
#include "dataplane/app/privileges.h"

namespace millrace::app {
namespace {

/// Workers can't wake a thread without a system call, so an idle one looks again: soon while there was work a moment
/// ago, and never later than a client would notice.
constexpr long sleep_ns_min = 20'000, sleep_ns_max = 500'000;

}  // namespace

CryptoThreads::CryptoThreads(const DataplaneRecord& settings)
    : settings_(settings),
      pool_settings_{
          .workers = settings.core_count, .threads = settings.crypto_threads, .seats = settings.tls_handshakes_max},
      pool_(pool_settings_) {
    for (uint16_t worker = 0; worker < settings.core_count; ++worker)
        of_workers_.emplace_back(pool_, pool_settings_, worker);
    pool_.report_to([](const std::string& line) { spdlog::warn("{}", line); });
}

CryptoThreads::~CryptoThreads() {
    ended_ = true;
    for (std::thread& thread : threads_) thread.join();
}

void CryptoThreads::start() {
    for (uint32_t number = 0; number < pool_settings_.threads; ++number)
        threads_.emplace_back([this, number] { run(number); });
}

void CryptoThreads::run(uint32_t number) {
    drop_thread_capabilities();
    leave_worker_cores(settings_);
    prctl(PR_SET_TIMERSLACK, 1);
    prctl(PR_SET_NAME, "millrace-crypto");
    long sleep_ns = sleep_ns_min;
    while (!ended_.load(std::memory_order_relaxed)) {
        if (pool_.serve(number)) {
            sleep_ns = sleep_ns_min;
            continue;
        }
        const timespec pause{0, sleep_ns};
        nanosleep(&pause, nullptr);
        sleep_ns = std::min(2 * sleep_ns, sleep_ns_max);
    }
}

}  // namespace millrace::app
