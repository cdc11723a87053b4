// Any text as the bundle of keys that control gives the dataplane: it is refused, or comes back as it was.
#include <string>

#include <millrace/assert.h>

#include "tls/handshake/key_bundle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millrace::tls;
    KeyBundle bundle, again;
    std::string error;
    const bool valid = parse_bundle({reinterpret_cast<const char*>(data), size}, bundle, error);
    MILLRACE_ASSERT(valid == error.empty());
    if (!valid) return 0;
    MILLRACE_ASSERT(parse_bundle(to_text(bundle), again, error));
    MILLRACE_ASSERT(to_text(again) == to_text(bundle));
    return 0;
}
