#include "tls/handshake/client_hello.h"

#include <optional>

#include "tls/record/record.h"

namespace millrace::tls {
namespace {

constexpr uint8_t client_hello_type = 1;
constexpr uint16_t extension_session_ticket = 35;
constexpr uint16_t extension_pre_shared_key = 41;

/// Takes fields off the front of some bytes; once one does not fit, everything after it is empty.
class Reader {
  public:
    explicit Reader(Bytes bytes) : rest_(bytes) {}

    bool empty() const { return rest_.empty(); }
    bool broken() const { return broken_; }
    size_t number(size_t bytes) {
        size_t value = 0;
        for (const uint8_t byte : take(bytes)) value = value << 8 | byte;
        return value;
    }
    Bytes take(size_t bytes) {
        if (bytes > rest_.size()) {
            broken_ = true;
            rest_ = {};
            return {};
        }
        const Bytes front = rest_.first(bytes);
        rest_ = rest_.subspan(bytes);
        return front;
    }
    /// A field with its length before it.
    Reader field(size_t length_bytes) { return Reader(take(number(length_bytes))); }

  private:
    Bytes rest_;
    bool broken_ = false;
};

/// The extensions of a ClientHello in one record (RFC 8446 §4.1.2).
std::optional<Reader> extensions_of(Bytes bytes) {
    Reader record(bytes);
    const auto type = static_cast<ContentType>(record.number(1));
    record.take(2);
    Reader fragment = record.field(2);
    if (record.broken() || type != ContentType::handshake || fragment.number(1) != client_hello_type)
        return std::nullopt;
    Reader hello = fragment.field(3);
    hello.take(2 + 32);  // version and random
    hello.field(1);      // session id
    hello.field(2);      // cipher suites
    hello.field(1);      // compression methods
    const Reader extensions = hello.field(2);
    return fragment.broken() || hello.broken() ? std::nullopt : std::optional(extensions);
}

}  // namespace

bool offers_resumption(Bytes bytes) {
    std::optional<Reader> extensions = extensions_of(bytes);
    while (extensions && !extensions->empty()) {
        const size_t type = extensions->number(2);
        const Reader content = extensions->field(2);
        if (extensions->broken()) return false;
        if (type == extension_pre_shared_key || (type == extension_session_ticket && !content.empty())) return true;
    }
    return false;
}

}  // namespace millrace::tls
