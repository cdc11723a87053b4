// Keeps a reader of a shared file alive when the file's owner cuts it short: a mapped page beyond the new end raises
// SIGBUS, and the handler puts a page of zeros there, which the reader then finds as nonsense like any other. Only for
// ranges that are registered (files that were joined read-only); any other SIGBUS ends the process as ever.
//
// Register and unregister from any thread; the handler runs on whichever thread reads.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace {

/// False when too many ranges are registered.
bool guard_range(const void* begin, uint64_t bytes);
/// Before the range is unmapped.
void unguard_range(const void* begin);

}  // namespace millrace
