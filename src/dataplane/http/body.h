// Where a message body ends (RFC 9112 §6, §7): a cursor that walks over the bytes that are relayed as they are and
// tells how many of them belong to the body. It neither decodes nor copies. Bytes after the body are never counted in,
// and a chunked body is checked strictly, since the next hop must find the same end.
//
// A cursor is plain data for a relay's record: 16 bytes, no pointers; all zero bits is an empty body. The worker that
// owns the relay advances it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

namespace millrace::http {

enum class BodyKind : uint8_t {
    none,
    length,       ///< Content-Length
    chunked,      ///< Transfer-Encoding: chunked
    until_close,  ///< responses only: the end of the connection ends the body
};

struct BodyFraming {
    BodyKind kind = BodyKind::none;
    uint64_t length = 0;  ///< only BodyKind::length; never 0 there
};

class BodyCursor {
  public:
    /// Bytes of one chunk-size line's extensions, and of all trailer fields together.
    static constexpr uint16_t extension_bytes_max = 256;
    static constexpr uint16_t trailer_bytes_max = 8192;
    /// Leading zeros count.
    static constexpr uint8_t chunk_size_digits_max = 15;

    struct Step {
        size_t bytes = 0;    ///< how many of the bytes given belong to the body: relay these, no more
        bool done = false;   ///< the body has ended after them
        bool error = false;  ///< the body is malformed after them; stays so
    };

    BodyCursor() = default;
    explicit BodyCursor(BodyFraming framing);

    /// Walks over the next received bytes. After `done` or `error` it takes no further byte. O(chunks), not O(bytes).
    Step advance(std::span<const uint8_t> bytes);

    bool done() const { return state_ == State::done; }

    /// True when the peer may close here: the body has ended or lasts until close. False means it was cut short.
    bool complete_at_close() const { return state_ == State::done || state_ == State::until_close; }

  private:
    enum class State : uint8_t {
        done,  // first: a zeroed cursor is an empty body
        error,
        until_close,
        length,
        chunk_size,
        chunk_extension,
        chunk_size_lf,
        chunk_data,
        chunk_data_cr,
        chunk_data_lf,
        trailer_start,
        trailer_name,
        trailer_value,
        trailer_lf,
        last_lf,
    };

    State take_chunked_byte(uint8_t byte);

    uint64_t remaining_ = 0;   // bytes left of the body (length) or of the chunk; the size while it is being read
    uint16_t line_bytes_ = 0;  // digits or extension bytes of this chunk-size line; then bytes of trailers
    State state_ = State::done;
    [[maybe_unused]] uint8_t padding_[5] = {};
};
static_assert(sizeof(BodyCursor) == 16 && std::is_trivially_copyable_v<BodyCursor> &&
              std::is_standard_layout_v<BodyCursor>);

}  // namespace millrace::http
