// Any bytes as the first of a connection. The answer is the same with whatever follows, and never yes for a prefix that
// the record's length says is not whole.
#include <vector>

#include <millrace/assert.h>

#include "pieces.h"
#include "tls/handshake/client_hello.h"

namespace millrace::tls {
namespace {

void fuzz_one(std::span<const uint8_t> input) {
    const fuzz::OwnBytes own(input);
    const bool offered = offers_resumption(own.span());
    if (!offered) return;
    const size_t record = 5 + (size_t{input[3]} << 8 | input[4]);
    MILLRACE_ASSERT(input[0] == 22 && input[5] == 1 && record <= input.size());
    MILLRACE_ASSERT(offers_resumption(fuzz::OwnBytes(input.first(record)).span()));
    MILLRACE_ASSERT(!offers_resumption(fuzz::OwnBytes(input.first(record - 1)).span()));
}

}  // namespace
}  // namespace millrace::tls

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    millrace::tls::fuzz_one({data, size});
    return 0;
}
