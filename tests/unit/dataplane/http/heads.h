// What the tests of this folder share: heads parsed out of memory that ends at an unmapped page.
#pragma once

#include <gtest/gtest.h>
#include <string>
#include <string_view>

#include "dataplane/http/head_scan.h"
#include "dataplane/http/request.h"
#include "dataplane/http/response.h"
#include "dataplane/http/text.h"
#include "guarded_bytes.h"

namespace millrace::http::test {

inline constexpr uint16_t status_incomplete = 1;

/// The name of a test with a parameter that says in `what` what it is about.
template <typename Case>
std::string name_of_case(const testing::TestParamInfo<Case>& parameter) {
    std::string name = parameter.param.what;
    for (char& c : name)
        if (!is_alphanumeric(c)) c = '_';
    return name;
}

/// A request scanned and parsed as a relay does it. `status` is 0, what either step refused it with, or
/// status_incomplete. The views in `head` live as long as this.
struct ParsedRequest {
    explicit ParsedRequest(std::string_view text) : memory(text.size()) {
        const auto bytes = memory.copy_to_end(text);
        const HeadScan scan = scan_head(bytes, 0);
        status = scan.outcome == ScanOutcome::incomplete ? status_incomplete : scan.status;
        if (scan.outcome != ScanOutcome::complete) return;
        // Once more at the very end of the memory, without what follows the head.
        status = parse_request(memory.copy_to_end(text.substr(0, scan.length)), head);
    }

    millrace::test::GuardedBytes memory;
    uint16_t status;
    RequestHead head;
};

/// The same for a response; `good` is false when either step refused it.
struct ParsedResponse {
    explicit ParsedResponse(std::string_view text, RequestKind request = RequestKind::ordinary) : memory(text.size()) {
        const HeadScan scan = scan_head(memory.copy_to_end(text), 0);
        if (scan.outcome != ScanOutcome::complete) return;
        good = parse_response(memory.copy_to_end(text.substr(0, scan.length)), request, head);
    }

    millrace::test::GuardedBytes memory;
    bool good = false;
    ResponseHead head;
};

/// A request line and Host, then `lines`, then the end of the head.
inline std::string get_with(std::string_view lines) {
    return "GET /x HTTP/1.1\r\nHost: a.example\r\n" + std::string(lines) + "\r\n";
}

/// A valid WebSocket upgrade (the example of RFC 6455 §1.2) with `lines` added.
inline std::string upgrade_with(std::string_view lines) {
    return get_with(
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Version: 13\r\n" +
        std::string(lines));
}

}  // namespace millrace::http::test
