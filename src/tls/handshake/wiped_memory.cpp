#include "tls/handshake/wiped_memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <openssl/crypto.h>

namespace millrace::tls {
namespace {

void* allocate(size_t bytes, const char*, int) {
    return std::malloc(bytes);
}

void wipe_and_free(void* memory, const char*, int) {
    if (memory != nullptr) explicit_bzero(memory, malloc_usable_size(memory));
    std::free(memory);
}

/// Never in the C library's way, which may leave a copy at the old place.
void* reallocate(void* memory, size_t bytes, const char* file, int line) {
    if (memory == nullptr) return std::malloc(bytes);
    const size_t held = malloc_usable_size(memory);
    if (bytes != 0 && bytes <= held) return memory;
    void* larger = bytes == 0 ? nullptr : std::malloc(bytes);
    if (bytes != 0 && larger == nullptr) return nullptr;
    if (larger != nullptr) std::memcpy(larger, memory, std::min(held, bytes));
    wipe_and_free(memory, file, line);
    return larger;
}

}  // namespace

bool wipe_freed_memory() {
    return CRYPTO_set_mem_functions(allocate, reallocate, wipe_and_free) == 1;
}

}  // namespace millrace::tls
