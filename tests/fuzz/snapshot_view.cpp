// Fuzzes SnapshotView::open: whatever it accepts must be safe to walk. Length and hash are repaired, since the fuzzer
// would otherwise spend its life on them.
#include <cstring>
#include <vector>

#include <millrace/snapshot.h>

#include "snapshot_samples.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millrace;
    std::vector<std::byte> bytes(size);
    if (size != 0) std::memcpy(bytes.data(), data, size);
    if (size >= sizeof(SnapshotHeader)) {
        auto& header = *reinterpret_cast<SnapshotHeader*>(bytes.data());
        header.total_bytes = static_cast<uint32_t>(size);
        uint64_t hash = 0xcbf29ce484222325;
        for (size_t i = sizeof header; i < size; ++i) hash = (hash ^ data[i]) * 0x100000001b3;
        header.content_hash = hash;
    }
    SnapshotView view;
    std::string error;
    if (view.open(bytes, error)) {
        const volatile uint64_t sum = test::walk(view);
        (void)sum;
    } else if (error.empty()) {
        __builtin_trap();
    }
    return 0;
}
