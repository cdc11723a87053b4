// Fuzzes captures' filters: any text is refused with a reason or makes a sound program, and a sound program of whatever
// origin judges any frame. The input is the text, a zero byte, and the frame; or 0xff, a program, and the frame.
#include <cstring>
#include <string>
#include <vector>

#include <millrace/capture_filter.h>

#include "dataplane/wire/frame_filter.h"

namespace {

void require(bool holds) {
    if (!holds) __builtin_trap();
}

/// In memory of its own, so that the sanitizer sees its end.
void judge(const millrace::CaptureFilter& filter, const uint8_t* data, size_t size) {
    const std::vector<uint8_t> frame(data, data + size);
    millrace::wire::matches(filter, frame);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    millrace::CaptureFilter filter{};
    if (size > sizeof filter && data[0] == 0xff) {
        std::memcpy(&filter, data + 1, sizeof filter);
        if (millrace::wire::is_sound(filter)) judge(filter, data + 1 + sizeof filter, size - 1 - sizeof filter);
        return 0;
    }
    const auto* end = static_cast<const uint8_t*>(size == 0 ? nullptr : std::memchr(data, 0, size));
    const size_t length = end == nullptr ? size : static_cast<size_t>(end - data);
    const std::string text(reinterpret_cast<const char*>(data), length);
    std::string error;
    if (!millrace::parse_capture_filter(text, filter, error)) {
        require(!error.empty() && error.size() < 200);
        return 0;
    }
    require(error.empty() && millrace::wire::is_sound(filter));
    judge(filter, data + length, size - length);
    return 0;
}
