// See fields.h.
#include "dataplane/http/fields.h"

#include <algorithm>
#include <limits>

#include "dataplane/base/fault.h"
#include "dataplane/http/text.h"

namespace millrace::http {
namespace {

struct KnownName {
    std::string_view name;
    FieldId id;
};

constexpr KnownName known_names[] = {
    {"connection", FieldId::connection},
    {"content-length", FieldId::content_length},
    {"host", FieldId::host},
    {"keep-alive", FieldId::keep_alive},
    {"proxy-connection", FieldId::proxy_connection},
    {"sec-websocket-accept", FieldId::sec_websocket_accept},
    {"sec-websocket-extensions", FieldId::sec_websocket_extensions},
    {"sec-websocket-key", FieldId::sec_websocket_key},
    {"sec-websocket-version", FieldId::sec_websocket_version},
    {"te", FieldId::te},
    {"trailer", FieldId::trailer},
    {"transfer-encoding", FieldId::transfer_encoding},
    {"upgrade", FieldId::upgrade},
    {"x-forwarded-for", FieldId::x_forwarded_for},
    {"x-forwarded-host", FieldId::x_forwarded_host},
    {"x-forwarded-proto", FieldId::x_forwarded_proto},
    {"x-request-id", FieldId::x_request_id},
};

/// Decimal digits only, at most 2^63 - 1.
bool parse_length(std::string_view text, uint64_t& length) {
    constexpr uint64_t length_max = std::numeric_limits<int64_t>::max();
    if (text.empty()) return false;
    length = 0;
    for (char c : text) {
        if (!is_digit(c)) return false;
        const uint64_t digit = static_cast<uint64_t>(c - '0');
        if (length > (length_max - digit) / 10) return false;
        length = length * 10 + digit;
    }
    return true;
}

}  // namespace

FieldId identify(std::string_view name) {
    for (const KnownName& known : known_names)
        if (equals_ignore_case(name, known.name)) return known.id;
    return FieldId::other;
}

uint16_t FieldList::parse(std::string_view lines) {
    count_ = 0;
    counts_ = {};
    while (!lines.empty()) {
        const size_t length = lines.find("\r\n");
        if (length == std::string_view::npos) return 400;
        const std::string_view line = lines.substr(0, length);
        lines.remove_prefix(length + 2);

        const size_t colon = line.find(':');
        if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return 400;
        if (count_ == count_max) return 431;
        const std::string_view name = line.substr(0, colon);
        const FieldId id = identify(name);
        fields_[count_++] = {name, trim(line.substr(colon + 1)), id};
        ++counts_[static_cast<size_t>(id)];
    }
    return 0;
}

const Field* FieldList::find(FieldId id) const {
    if (count(id) == 0) return nullptr;
    const Field* found = std::find_if(begin(), end(), [&](const Field& field) { return field.id == id; });
    return found == end() ? nullptr : found;
}

const Field* FieldList::find(std::string_view name) const {
    const Field* found =
        std::find_if(begin(), end(), [&](const Field& field) { return equals_ignore_case(field.name, name); });
    return found == end() ? nullptr : found;
}

bool FieldList::lists(FieldId id, std::string_view token) const {
    if (count(id) == 0) return false;
    for (const Field& field : *this) {
        if (field.id != id) continue;
        for (std::string_view list = field.value; !list.empty();)
            if (equals_ignore_case(next_element(list), token)) return true;
    }
    return false;
}

uint16_t ConnectionOptions::parse(const FieldList& fields) {
    count_ = 0;
    for (const Field& field : fields) {
        if (field.id != FieldId::connection) continue;
        for (std::string_view list = field.value; !list.empty();) {
            const std::string_view option = next_element(list);
            if (option.empty()) continue;  // RFC 9110 §5.6.1.2
            if (!is_token(option) || count_ == count_max) return 400;
            options_[count_++] = option;
        }
    }
    return 0;
}

bool ConnectionOptions::contains(std::string_view option) const {
    const auto end = options_.begin() + count_;
    return std::any_of(options_.begin(), end, [&](std::string_view own) { return equals_ignore_case(own, option); });
}

uint16_t parse_framing(const FieldList& fields, uint8_t minor_version, BodyKind absent, BodyFraming& framing) {
    const uint16_t lengths = fields.count(FieldId::content_length);
    const uint16_t codings = fields.count(FieldId::transfer_encoding);
    if (codings > 0) {
        if (lengths > 0 && !fault(Fault::http_length_beside_chunked)) return 400;
        if (minor_version == 0) return 400;
        if (codings > 1 || !equals_ignore_case(fields.find(FieldId::transfer_encoding)->value, "chunked")) return 501;
        framing = {BodyKind::chunked, 0};
        return 0;
    }
    if (lengths == 0) {
        framing = {absent, 0};
        return 0;
    }
    uint64_t length = 0;
    if (lengths > 1 || !parse_length(fields.find(FieldId::content_length)->value, length)) return 400;
    framing = {length == 0 ? BodyKind::none : BodyKind::length, length};
    return 0;
}

}  // namespace millrace::http
