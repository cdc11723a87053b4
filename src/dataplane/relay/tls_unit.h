// What one worker needs to move records of TLS, on pages that core dumps leave out: the latest key, and the latest
// plaintext, stay in it. Made at start, used by the worker's thread alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <new>
#include <sys/mman.h>

#include "dataplane/store/chunk_store.h"
#include "tls/record/crypto.h"
#include "tls/record/tally.h"

namespace millrace::relay {

/// The longest record that is taken, with its header: what one chunk holds. The longest that RFC 8446 §5.2 allows has
/// 16,406 bytes (a padded one is no longer), that of RFC 5246 with an AEAD 16,413.
inline constexpr size_t record_bytes_max = store::chunk_payload_max;

struct TlsUnit {
    tls::Crypto crypto;
    std::array<uint8_t, record_bytes_max> opened;
    std::array<uint8_t, record_bytes_max> sealed;
    tls::Tallies<uint64_t> tallies;  ///< alerts of established relays

    static void* operator new(size_t bytes) {
        void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        if (madvise(memory, bytes, MADV_DONTDUMP) == 0) return memory;
        munmap(memory, bytes);
        throw std::bad_alloc();
    }
    static void operator delete(void* memory, size_t bytes) { munmap(memory, bytes); }
};

}  // namespace millrace::relay
