// See request.h.
#include "dataplane/http/request.h"

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/http/text.h"

namespace millrace::http {
namespace {

/// Visible ASCII but '#', which never reaches a server (RFC 9110 §7.1).
bool is_target(std::string_view target) {
    return !target.empty() &&
           std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c <= '~' && c != '#'; });
}

/// ":" and at most a 16-bit number, or nothing.
bool is_port_suffix(std::string_view text) {
    if (text.empty()) return true;
    if (text.front() != ':' || text.size() > 6) return false;
    unsigned port = 0;
    for (char c : text.substr(1)) {
        if (!is_digit(c)) return false;
        port = port * 10 + static_cast<unsigned>(c - '0');
    }
    return port <= 65535;
}

/// Splits host[:port] and puts the host into `host`. Takes DNS names (with '_'), IPv4 and bracketed IPv6 addresses; not
/// the percent-encoded and punctuated names of RFC 3986 §3.2.2, which no resolver knows.
bool parse_authority(std::string_view authority, std::string_view& host) {
    if (authority.starts_with('[')) {
        const size_t bracket = authority.find(']');
        if (bracket == std::string_view::npos || bracket == 1) return false;
        host = authority.substr(0, bracket + 1);
        const auto is_address_char = [](char c) {
            return is_digit(c) || (to_lower(c) >= 'a' && to_lower(c) <= 'f') || c == ':' || c == '.';
        };
        const std::string_view address = host.substr(1, host.size() - 2);
        return std::all_of(address.begin(), address.end(), is_address_char) &&
               is_port_suffix(authority.substr(host.size()));
    }
    const size_t host_length = std::min(authority.find(':'), authority.size());
    host = authority.substr(0, host_length);
    if (host.ends_with('.')) host.remove_suffix(1);  // the root label changes nothing
    const auto is_name_char = [](char c) { return is_alphanumeric(c) || c == '-' || c == '.' || c == '_'; };
    return !host.empty() && host.front() != '.' && host.find("..") == std::string_view::npos && !host.ends_with('.') &&
           std::all_of(host.begin(), host.end(), is_name_char) && is_port_suffix(authority.substr(host_length));
}

/// Origin-form and absolute-form (RFC 9112 §3.2); the latter also gives authority and host.
uint16_t parse_target(std::string_view target, RequestHead& request) {
    if (!target.starts_with('/')) {
        if (target == "*" && request.method == "OPTIONS") return 501;
        const size_t scheme_end = target.find("://");
        const std::string_view scheme = target.substr(0, std::min(scheme_end, target.size()));
        if (scheme_end == std::string_view::npos) return 400;
        if (!equals_ignore_case(scheme, "http") && !equals_ignore_case(scheme, "https")) return 400;
        target.remove_prefix(scheme_end + 3);
        request.authority = target.substr(0, std::min(target.find_first_of("/?"), target.size()));
        if (!parse_authority(request.authority, request.host)) return 400;
        target.remove_prefix(request.authority.size());
    }
    const size_t path_length = std::min(target.find('?'), target.size());
    request.path = path_length == 0 ? std::string_view("/") : target.substr(0, path_length);
    request.query = target.substr(path_length);
    return 0;
}

/// method SP request-target SP HTTP-version (RFC 9112 §3).
uint16_t parse_request_line(std::string_view line, RequestHead& request) {
    const size_t method_end = line.find(' '), target_end = line.rfind(' ');
    if (method_end == std::string_view::npos || method_end == target_end) return 400;
    request.method = line.substr(0, method_end);
    const std::string_view target = line.substr(method_end + 1, target_end - method_end - 1);
    const std::string_view version = line.substr(target_end + 1);

    if (!is_token(request.method)) return 400;
    if (request.method.size() > RequestHead::method_bytes_max) return 501;
    if (version.size() != 8 || !version.starts_with("HTTP/") || !is_digit(version[5]) || version[6] != '.' ||
        !is_digit(version[7]))
        return 400;
    if (version != "HTTP/1.1" && version != "HTTP/1.0") return 505;
    request.minor_version = version[7] == '1' ? 1 : 0;
    if (!is_target(target)) return 400;
    if (request.method == "CONNECT") return 501;
    return parse_target(target, request);
}

/// Exactly one valid Host, at most one in HTTP/1.0 (RFC 9112 §3.2). Checked even where an absolute-form target
/// overrules it.
uint16_t parse_host(RequestHead& request) {
    const uint16_t hosts = request.fields.count(FieldId::host);
    if (hosts > 1 && !fault(Fault::http_two_hosts)) return 400;
    if (hosts == 0) return request.minor_version == 0 ? 0 : 400;
    const std::string_view authority = request.fields.find(FieldId::host)->value;
    std::string_view host;
    if (!parse_authority(authority, host)) return 400;
    if (request.authority.empty()) {
        request.authority = authority;
        request.host = host;
    }
    return 0;
}

/// 24 characters that are base64 of 16 bytes. The four bits that 22 digits have too many are not looked at: the key is
/// hashed as text.
bool is_websocket_key(std::string_view key) {
    const auto is_base64 = [](char c) { return is_alphanumeric(c) || c == '+' || c == '/'; };
    return key.size() == 24 && key.ends_with("==") && std::all_of(key.begin(), key.end() - 2, is_base64);
}

/// RFC 6455 §4.2.1. Decides the kind of the request.
uint16_t parse_upgrade(RequestHead& request) {
    if (request.method == "HEAD") request.kind = RequestKind::head;
    if (request.method != "GET" || request.minor_version == 0) return 0;
    if (!request.connection.contains("upgrade") || !request.fields.lists(FieldId::upgrade, "websocket")) return 0;

    // A body would stand between the head and the first frame, where only one of two parsers might see it.
    if (request.body.kind != BodyKind::none) return 400;
    if (request.fields.count(FieldId::sec_websocket_key) != 1) return 400;
    request.websocket_key = request.fields.find(FieldId::sec_websocket_key)->value;
    if (!is_websocket_key(request.websocket_key)) return 400;
    if (request.fields.count(FieldId::sec_websocket_version) != 1 ||
        request.fields.find(FieldId::sec_websocket_version)->value != "13")
        return status_websocket_version;
    request.kind = RequestKind::websocket;
    return 0;
}

}  // namespace

uint16_t parse_request(std::span<const uint8_t> head, RequestHead& request) {
    std::string_view text = as_text(head);
    if (text.starts_with("\r\n")) text.remove_prefix(2);
    const size_t line_length = text.find("\r\n");
    if (!text.ends_with("\r\n\r\n") || line_length + 4 > text.size()) return 400;
    const std::string_view field_lines = text.substr(line_length + 2, text.size() - line_length - 4);

    request.authority = request.host = request.websocket_key = {};
    request.kind = RequestKind::ordinary;
    uint16_t status = parse_request_line(text.substr(0, line_length), request);
    if (status == 0) status = request.fields.parse(field_lines);
    if (status == 0) status = request.connection.parse(request.fields);
    if (status == 0) status = parse_host(request);
    if (status == 0) status = parse_framing(request.fields, request.minor_version, BodyKind::none, request.body);
    if (status == 0) status = parse_upgrade(request);
    return status;
}

}  // namespace millrace::http
