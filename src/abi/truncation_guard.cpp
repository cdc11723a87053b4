#include "abi/truncation_guard.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <sys/mman.h>
#include <unistd.h>

#include <millrace/shared_file.h>

namespace millrace {

namespace {

struct Range {
    std::atomic<uintptr_t> begin = 0;  // 0: free
    std::atomic<uintptr_t> end = 0;    // stored before begin is of use to the handler
};

Range ranges[256];
uintptr_t page_bytes = 4096;

// Only what a signal handler may do: loads, mmap (a plain system call), signal.
void on_bus_error(int, siginfo_t* info, void*) {
    const int errno_before = errno;
    const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
    for (const Range& range : ranges) {
        const uintptr_t begin = range.begin.load(std::memory_order_acquire);
        if (begin == 0 || address < begin || address >= range.end.load(std::memory_order_relaxed)) continue;
        void* page = reinterpret_cast<void*>(address & ~(page_bytes - 1));
        if (mmap(page, page_bytes, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
            errno = errno_before;
            return;
        }
    }
    std::signal(SIGBUS, SIG_DFL);  // the same instruction faults again, and that ends the process
}

}  // namespace

bool guard_range(const void* begin, uint64_t bytes) {
    const auto address = reinterpret_cast<uintptr_t>(begin);
    for (Range& range : ranges) {
        uintptr_t none = 0;
        // Reserved by an address that nothing has, until the end is there.
        if (!range.begin.compare_exchange_strong(none, UINTPTR_MAX)) continue;
        range.end.store(address + bytes, std::memory_order_relaxed);
        range.begin.store(address, std::memory_order_release);
        return true;
    }
    return false;
}

void unguard_range(const void* begin) {
    for (Range& range : ranges)
        if (range.begin.load() == reinterpret_cast<uintptr_t>(begin)) range.begin.store(0);
}

void survive_truncation() {
    page_bytes = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
    struct sigaction action {};
    action.sa_sigaction = on_bus_error;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGBUS, &action, nullptr);
}

}  // namespace millrace
