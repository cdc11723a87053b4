// Any bytes as a request. The head ends at the same byte however it is cut; what is forwarded parses again as the same
// request with the same framing, and is forwarded unchanged a second time.
//
// Input: the seed of the cuts, the four policies (two bits each), then the stream.
#include <cstddef>
#include <cstdint>

#include "dataplane/http/request.h"
#include "dataplane/http/rewrite.h"
#include "http_heads.h"

namespace millrace::http {
namespace {

void check_same(const RequestHead& a, const RequestHead& b) {
    MILLRACE_ASSERT(a.method == b.method && a.minor_version == b.minor_version && a.kind == b.kind);
    MILLRACE_ASSERT(a.path == b.path && a.query == b.query && a.authority == b.authority && a.host == b.host);
    MILLRACE_ASSERT(a.body.kind == b.body.kind && a.body.length == b.body.length);
    MILLRACE_ASSERT(a.websocket_key == b.websocket_key);
}

void check_forwarding(const RequestHead& request, size_t length, uint8_t policies) {
    const auto policy = [&](int index) { return static_cast<FieldPolicy>(policies >> (2 * index) & 3); };
    const ForwardPolicy mixed = {policy(0), policy(1), policy(2), policy(3)};
    constexpr ForwardPolicy unchanged = {FieldPolicy::pass, FieldPolicy::pass, FieldPolicy::pass, FieldPolicy::pass};
    const ForwardValues values = {.client_address = "2001:db8::1", .proto = "https", .request_id = "0123456789abcdef"};
    const size_t room = length + forward_growth_max + request.authority.size() + values.client_address.size() +
                        values.proto.size() + values.request_id.size();

    const auto forwarded =
        fuzz::written_head(room, [&](std::span<uint8_t> out) { return write_request(request, mixed, values, out); });
    RequestHead again;
    const uint16_t status = parse_request(forwarded, again);
    if (status == 431 && request.fields.size() + 6 > FieldList::count_max) return;  // ours came on top
    MILLRACE_ASSERT(status == 0);
    check_same(request, again);

    const auto twice = fuzz::written_head(
        forwarded.size(), [&](std::span<uint8_t> out) { return write_request(again, unchanged, values, out); });
    MILLRACE_ASSERT(forwarded == twice);
}

void fuzz_one(std::span<const uint8_t> input) {
    if (input.size() < 2) return;
    const std::span<const uint8_t> stream = input.subspan(2);
    const HeadScan scan = fuzz::scan_both_ways(stream, input[0]);
    if (scan.outcome != ScanOutcome::complete) return;

    const fuzz::OwnBytes head(stream.first(scan.length));
    RequestHead request;
    const uint16_t status = parse_request(head.span(), request);
    MILLRACE_ASSERT(status == 0 || status == 400 || status == 431 || status == 501 || status == 505 ||
                    status == status_websocket_version);
    if (status == 0) check_forwarding(request, scan.length, input[1]);
}

}  // namespace
}  // namespace millrace::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    millrace::http::fuzz_one({data, size});
    return 0;
}
