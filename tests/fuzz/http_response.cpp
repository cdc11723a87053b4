// Any bytes as a response. The head ends at the same byte however it is cut; what is forwarded parses again with the
// same status and framing, and is forwarded unchanged a second time.
//
// Input: the seed of the cuts, the kind of the request (modulo 3), then the stream.
#include <cstddef>
#include <cstdint>

#include "dataplane/http/response.h"
#include "dataplane/http/rewrite.h"
#include "http_heads.h"

namespace millrace::http {
namespace {

void check_forwarding(const ResponseHead& response, size_t length, RequestKind request) {
    const auto forwarded = fuzz::written_head(length + forward_growth_max,
                                              [&](std::span<uint8_t> out) { return write_response(response, out); });
    ResponseHead again;
    const bool good = parse_response(forwarded, request, again);
    if (!good && response.fields.size() + 2 > FieldList::count_max) return;  // ours came on top
    MILLRACE_ASSERT(good && again.status == response.status && again.reason == response.reason);
    MILLRACE_ASSERT(again.body.kind == response.body.kind && again.body.length == response.body.length);

    const auto twice =
        fuzz::written_head(forwarded.size(), [&](std::span<uint8_t> out) { return write_response(again, out); });
    MILLRACE_ASSERT(forwarded == twice);
}

void fuzz_one(std::span<const uint8_t> input) {
    if (input.size() < 2) return;
    const std::span<const uint8_t> stream = input.subspan(2);
    const HeadScan scan = fuzz::scan_both_ways(stream, input[0]);
    if (scan.outcome != ScanOutcome::complete) return;

    const auto request = static_cast<RequestKind>(input[1] % 3);
    const fuzz::OwnBytes head(stream.first(scan.length));
    ResponseHead response;
    if (!parse_response(head.span(), request, response)) return;
    MILLRACE_ASSERT(response.status >= 100 && response.status < 600);
    MILLRACE_ASSERT(!response.is_switching() || request == RequestKind::websocket);
    if (accepts_websocket(response, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")) MILLRACE_ASSERT(response.is_switching());
    check_forwarding(response, scan.length, request);
}

}  // namespace
}  // namespace millrace::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    millrace::http::fuzz_one({data, size});
    return 0;
}
