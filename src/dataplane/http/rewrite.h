// Writes the head that goes on to the other side: the parsed one without its hop-by-hop fields (RFC 9110 §7.6.1), plus
// what a proxy tells about the client. The body follows unchanged, so its framing fields are kept. Everything goes into
// the caller's buffer; nothing is allocated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataplane/http/request.h"
#include "dataplane/http/response.h"

namespace millrace::http {

/// What to do with a field that the client may have sent itself.
enum class FieldPolicy : uint8_t {
    pass,     ///< as the client sent it, if it did
    add,      ///< X-Forwarded-For: appended to the client's list; the others: set when absent
    replace,  ///< ours alone
    remove,   ///< none
};

struct ForwardPolicy {
    FieldPolicy x_forwarded_for = FieldPolicy::add;
    FieldPolicy x_forwarded_proto = FieldPolicy::replace;
    FieldPolicy x_forwarded_host = FieldPolicy::replace;
    FieldPolicy x_request_id = FieldPolicy::add;
};

/// The values for one request. Views, valid during the call; an empty one is not written.
struct ForwardValues {
    std::string_view client_address;  ///< X-Forwarded-For: the address as text, no port
    std::string_view proto;           ///< X-Forwarded-Proto: "http" or "https"
    std::string_view request_id;      ///< X-Request-ID
    /// Name and value of the field with the subject of the client's certificate. With a name, the client's own fields
    /// of that name never go on, whether there is a value or not.
    std::string_view subject_name = {}, subject = {};
};

/// Bytes by which a forwarded head can exceed the received one, the ForwardValues and the authority (which
/// X-Forwarded-Host repeats) not counted: a buffer of this plus all of those always suffices.
inline constexpr size_t forward_growth_max = 256;

/// Writes the request to send to the server: origin-form, Host from the authority, same version (an HTTP/1.0 client
/// could not read what a server may answer to HTTP/1.1), and `Connection: close`, or `Connection: Upgrade` and
/// `Upgrade: websocket` for an upgrade. Fields that Connection names are removed, except those that carry framing,
/// routing or the handshake. Returns the bytes written, or 0 when `out` is too small (its content is then undefined).
size_t write_request(const RequestHead& request, const ForwardPolicy& policy, const ForwardValues& values,
                     std::span<uint8_t> out);

/// Writes the response to send to the client, as HTTP/1.1: `Connection: close` on a final one, the upgrade fields on a
/// 101, neither on an interim one. Returns as write_request.
size_t write_response(const ResponseHead& response, std::span<uint8_t> out);

}  // namespace millrace::http
