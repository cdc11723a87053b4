// The field section of a message head as views into the caller's buffer, and what both kinds of message read from it:
// body framing (RFC 9112 §6) and connection options (RFC 9110 §7.6.1). Lives on the worker's stack during one call; the
// views die with the buffer. Nothing is copied or allocated.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/http/body.h"

namespace millrace::http {

/// The names that some code of ours treats specially.
enum class FieldId : uint8_t {
    other,
    connection,
    content_length,
    host,
    keep_alive,
    proxy_connection,
    sec_websocket_accept,
    sec_websocket_extensions,
    sec_websocket_key,
    sec_websocket_version,
    te,
    trailer,
    transfer_encoding,
    upgrade,
    x_forwarded_for,
    x_forwarded_host,
    x_forwarded_proto,
    x_request_id,
};
inline constexpr size_t field_id_count = static_cast<size_t>(FieldId::x_request_id) + 1;

/// The id of a field name, compared without regard to case.
FieldId identify(std::string_view name);

struct Field {
    std::string_view name;   ///< a token, as sent
    std::string_view value;  ///< without the blanks around it; may be empty
    FieldId id;
};

/// The fields of one head, in their order.
class FieldList {
  public:
    static constexpr uint16_t count_max = 100;

    /// Parses field lines, each with its CRLF, up to the end of `lines` (the empty line that ends the head excluded).
    /// `lines` comes out of a head that scan_head found complete. Returns 0, 400 (a line without a colon, a name that
    /// is empty or not a token, which includes a blank before the colon), or 431 (more than count_max fields).
    [[nodiscard]] uint16_t parse(std::string_view lines);

    const Field* begin() const { return fields_.data(); }
    const Field* end() const { return fields_.data() + count_; }
    uint16_t size() const { return count_; }

    /// How many fields have this id.
    uint16_t count(FieldId id) const { return counts_[static_cast<size_t>(id)]; }
    /// The first field with this id, or null.
    const Field* find(FieldId id) const;
    /// The first field with this name (no regard to case), or null.
    const Field* find(std::string_view name) const;

    /// True when the comma-separated value of some field with this id contains `token` (no regard to case).
    bool lists(FieldId id, std::string_view token) const;

  private:
    std::array<Field, count_max> fields_;
    std::array<uint8_t, field_id_count> counts_{};  // most questions are for names that are absent
    uint16_t count_ = 0;
};

/// The options of all Connection fields of a head: names of fields meant for this hop only, and `close`, `upgrade`, ...
class ConnectionOptions {
  public:
    /// Bounds the work of removing what they name; real messages carry one or two.
    static constexpr uint8_t count_max = 16;

    /// Returns 0, or 400 for an option that is not a token or more than count_max options.
    [[nodiscard]] uint16_t parse(const FieldList& fields);

    /// No regard to case.
    bool contains(std::string_view option) const;

  private:
    std::array<std::string_view, count_max> options_;
    uint8_t count_ = 0;
};

/// Reads Content-Length and Transfer-Encoding into `framing`; `absent` is what a message with neither has.
/// Returns 0; 400 when the length is a list, repeated, signed, not decimal digits or above 2^63 - 1, when both fields
/// stand together, or when an HTTP/1.0 message (`minor_version` 0) has a Transfer-Encoding (RFC 9112 §6.1); 501 for
/// any transfer coding but one single `chunked`. A length of 0 gives BodyKind::none.
[[nodiscard]] uint16_t parse_framing(const FieldList& fields, uint8_t minor_version, BodyKind absent,
                                     BodyFraming& framing);

}  // namespace millrace::http
