// Characters and short strings as HTTP/1.1 defines them: token and field-value classes (RFC 9110 §5.5, §5.6.2),
// comparison without regard to case, comma-separated lists. Everything is constexpr over views; no locale, no state.
// Not a place for message structure: that is fields.h and the heads.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace millrace::http {

/// The bytes as text; nothing is copied.
inline std::string_view as_text(std::span<const uint8_t> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

constexpr char to_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

constexpr bool is_alphanumeric(char c) {
    return is_digit(c) || (to_lower(c) >= 'a' && to_lower(c) <= 'z');
}

inline constexpr std::array<bool, 256> token_chars = [] {
    std::array<bool, 256> table{};
    for (unsigned i = 0; i < 128; ++i) table[i] = is_alphanumeric(static_cast<char>(i));
    for (char symbol : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<uint8_t>(symbol)] = true;
    return table;
}();

/// tchar of RFC 9110 §5.6.2.
constexpr bool is_token_char(char c) {
    return token_chars[static_cast<uint8_t>(c)];
}

constexpr bool is_token(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), is_token_char);
}

constexpr bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/// What may stand in a field line besides its CRLF: blanks, visible ASCII, and obs-text (RFC 9110 §5.5).
constexpr bool is_field_byte(uint8_t byte) {
    return (byte >= 0x20 && byte != 0x7f) || byte == '\t';
}

/// ASCII only: 'K' equals 'k', no other folding.
constexpr bool equals_ignore_case(std::string_view a, std::string_view b) {
    return a.size() == b.size() &&
           std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return to_lower(x) == to_lower(y); });
}

/// `text` without blanks at either end.
constexpr std::string_view trim(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

/// Cuts the next element off a comma-separated list (RFC 9110 §5.6.1) and returns it trimmed; it may be empty, and is
/// when `list` is. Quoted strings are not known here: use it for lists of tokens.
constexpr std::string_view next_element(std::string_view& list) {
    const size_t comma = list.find(',');
    const std::string_view element = trim(list.substr(0, comma));
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    return element;
}

}  // namespace millrace::http
