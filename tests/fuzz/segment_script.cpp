// The parser of segment scripts: any bytes give a script or a problem. What it accepted keeps its own rules.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "tests/tools/segment_script/expectation.h"
#include "tests/tools/segment_script/parser.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace millrace::script;
    const Script script = parse({reinterpret_cast<const char*>(data), size});
    if (script.events.empty() && !script.problem) std::abort();
    for (const Event& event : script.events) {
        const auto* segment = std::get_if<SegmentSpec>(&event.action);
        if (event.time.us < 0 || event.line < 1) std::abort();
        if (segment == nullptr) continue;
        if (segment->inbound && (segment->any_options || event.time.kind == TimeKind::any)) std::abort();
        if (text_of(*segment).empty()) std::abort();
    }
    return 0;
}
