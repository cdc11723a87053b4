// See rewrite.h.
#include "dataplane/http/rewrite.h"

#include <algorithm>
#include <array>

#include "dataplane/base/fault.h"
#include "dataplane/http/text.h"
#include "dataplane/http/writer.h"

namespace millrace::http {
namespace {

/// One of the fields that tell about the client.
struct OwnField {
    FieldId id;
    std::string_view name;
    FieldPolicy policy;
    std::string_view value;

    /// The client's own field goes on as it is. (Its X-Forwarded-For lines are joined with ours instead.)
    bool keeps_received() const {
        return policy == FieldPolicy::pass || (policy == FieldPolicy::add && id != FieldId::x_forwarded_for);
    }
};

/// Is this field for the next hop too? Framing, routing, handshake and OwnField fields are decided by what we know of
/// them: naming them in Connection would only make the next hop read another message than we did.
bool is_end_to_end(const Field& field, const ConnectionOptions& connection) {
    switch (field.id) {
        case FieldId::connection:
        case FieldId::keep_alive:
        case FieldId::proxy_connection:
        case FieldId::te:
        case FieldId::trailer:
        case FieldId::upgrade:
            return false;
        case FieldId::content_length:
            return !(fault(Fault::http_connection_removes_length) && connection.contains(field.name));
        case FieldId::other:
            return !connection.contains(field.name) || fault(Fault::http_connection_option_kept);
        default:
            return true;
    }
}

/// One line of all that the client sent and our value: several lines of one list are the same as one (RFC 9110 §5.2),
/// but many servers read only one line.
void write_forwarded_for(Writer& writer, const FieldList& fields, std::string_view own) {
    std::string_view separator = "X-Forwarded-For: ";
    for (const Field& field : fields) {
        if (field.id != FieldId::x_forwarded_for || field.value.empty()) continue;
        writer.put({separator, field.value});
        separator = ", ";
    }
    if (!own.empty()) {
        writer.put({separator, own});
        separator = ", ";
    }
    if (separator == ", ") writer.put("\r\n");
}

/// Many servers make variables of field names, in which '-' and '_' are the same.
bool is_same_variable(std::string_view a, std::string_view b) {
    const auto folded = [](char c) { return c == '_' ? '-' : to_lower(c); };
    return std::ranges::equal(a, b, {}, folded, folded);
}

void write_own(Writer& writer, const FieldList& fields, const OwnField& own) {
    if (own.policy == FieldPolicy::add && own.id == FieldId::x_forwarded_for)
        return write_forwarded_for(writer, fields, own.value);
    const bool wanted =
        own.policy == FieldPolicy::replace || (own.policy == FieldPolicy::add && fields.find(own.id) == nullptr);
    if (wanted && !own.value.empty()) writer.field(own.name, own.value);
}

void write_upgrade(Writer& writer) {
    writer.put("Connection: Upgrade\r\nUpgrade: websocket\r\n");
}
void write_close(Writer& writer) {
    writer.put("Connection: close\r\n");
}

}  // namespace

size_t write_request(const RequestHead& request, const ForwardPolicy& policy, const ForwardValues& values,
                     std::span<uint8_t> out) {
    const std::array own_fields = {
        OwnField{FieldId::x_forwarded_for, "X-Forwarded-For", policy.x_forwarded_for, values.client_address},
        OwnField{FieldId::x_forwarded_proto, "X-Forwarded-Proto", policy.x_forwarded_proto, values.proto},
        OwnField{FieldId::x_forwarded_host, "X-Forwarded-Host", policy.x_forwarded_host, request.authority},
        OwnField{FieldId::x_request_id, "X-Request-ID", policy.x_request_id, values.request_id},
    };
    const auto is_replaced = [&](const Field& field) {
        if (!values.subject_name.empty() && is_same_variable(field.name, values.subject_name)) return true;
        return field.id == FieldId::host || std::any_of(own_fields.begin(), own_fields.end(), [&](const OwnField& own) {
                   return own.id == field.id && !own.keeps_received();
               });
    };

    Writer writer(out);
    writer.put({request.method, " ", request.path, request.query});
    writer.put(request.minor_version == 0 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
    if (!request.authority.empty()) writer.field("Host", request.authority);
    for (const Field& field : request.fields)
        if (is_end_to_end(field, request.connection) && !is_replaced(field)) writer.field(field.name, field.value);
    for (const OwnField& own : own_fields) write_own(writer, request.fields, own);
    if (!values.subject_name.empty() && !values.subject.empty()) writer.field(values.subject_name, values.subject);
    if (request.kind == RequestKind::websocket)
        write_upgrade(writer);
    else
        write_close(writer);
    writer.put("\r\n");
    return writer.length();
}

size_t write_response(const ResponseHead& response, std::span<uint8_t> out) {
    // RFC 9110 §8.6, RFC 9112 §6.1: neither may stand in these, and a client might believe them.
    const bool without_framing = response.status < 200 || response.status == 204;
    const auto is_framing = [](const Field& field) {
        return field.id == FieldId::content_length || field.id == FieldId::transfer_encoding;
    };

    Writer writer(out);
    writer.put("HTTP/1.1 ");
    writer.number(response.status);
    writer.put({" ", response.reason, "\r\n"});
    for (const Field& field : response.fields) {
        if (!is_end_to_end(field, response.connection) || (without_framing && is_framing(field))) continue;
        writer.field(field.name, field.value);
    }
    if (response.is_switching())
        write_upgrade(writer);
    else if (!response.is_interim())
        write_close(writer);
    writer.put("\r\n");
    return writer.length();
}

}  // namespace millrace::http
