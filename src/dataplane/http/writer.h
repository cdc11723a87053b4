// Appends text to a caller's fixed buffer and remembers when it did not fit, so that head writers need one check at
// their end. Lives during one call on the worker's stack.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string_view>

namespace millrace::http {

class Writer {
  public:
    explicit Writer(std::span<uint8_t> out) : out_(out) {}

    void put(std::string_view text) {
        if (text.size() > out_.size() - length_) overflowed_ = true;
        if (overflowed_ || text.empty()) return;
        std::memcpy(out_.data() + length_, text.data(), text.size());
        length_ += text.size();
    }

    void put(std::initializer_list<std::string_view> texts) {
        for (std::string_view text : texts) put(text);
    }

    /// A field line with its CRLF.
    void field(std::string_view name, std::string_view value) { put({name, ": ", value, "\r\n"}); }

    /// A decimal number.
    void number(uint32_t value) {
        char digits[10];
        size_t first = sizeof digits;
        do digits[--first] = static_cast<char>('0' + value % 10);
        while ((value /= 10) != 0);
        put({digits + first, sizeof digits - first});
    }

    /// Bytes written, or 0 when something did not fit.
    size_t length() const { return overflowed_ ? 0 : length_; }

  private:
    std::span<uint8_t> out_;
    size_t length_ = 0;
    bool overflowed_ = false;
};

}  // namespace millrace::http
