// See response.h.
#include "dataplane/http/response.h"

#include "dataplane/base/fault.h"
#include "dataplane/http/text.h"

namespace millrace::http {
namespace {

/// HTTP-version SP status-code [SP reason] (RFC 9112 §4); servers that leave the second blank out are common.
bool parse_status_line(std::string_view line, ResponseHead& response, uint8_t& minor_version) {
    if (!line.starts_with("HTTP/1.1 ") && !line.starts_with("HTTP/1.0 ")) return false;
    minor_version = line[7] == '1' ? 1 : 0;
    line.remove_prefix(9);
    if (line.size() < 3 || !is_digit(line[0]) || !is_digit(line[1]) || !is_digit(line[2])) return false;
    response.status = static_cast<uint16_t>((line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0'));
    line.remove_prefix(3);
    if (!line.empty() && line.front() != ' ') return false;
    response.reason = trim(line);
    return response.status >= 100 && response.status < 600;
}

}  // namespace

bool parse_response(std::span<const uint8_t> head, RequestKind request, ResponseHead& response) {
    const std::string_view text = as_text(head);
    const size_t line_length = text.find("\r\n");
    if (!text.ends_with("\r\n\r\n") || line_length + 4 > text.size()) return false;
    const std::string_view field_lines = text.substr(line_length + 2, text.size() - line_length - 4);

    uint8_t minor_version = 0;
    if (!parse_status_line(text.substr(0, line_length), response, minor_version)) return false;
    if (response.fields.parse(field_lines) != 0 || response.connection.parse(response.fields) != 0) return false;
    if (parse_framing(response.fields, minor_version, BodyKind::until_close, response.body) != 0) return false;
    if (request == RequestKind::head || response.never_has_body()) response.body = {};
    return !response.is_switching() || request == RequestKind::websocket;
}

bool accepts_websocket(const ResponseHead& response, std::string_view accept) {
    if (!response.is_switching() || !response.connection.contains("upgrade")) return false;
    if (!response.fields.lists(FieldId::upgrade, "websocket")) return false;
    return response.fields.count(FieldId::sec_websocket_accept) == 1 &&
           (fault(Fault::http_accept_unchecked) ||
            response.fields.find(FieldId::sec_websocket_accept)->value == accept);
}

}  // namespace millrace::http
