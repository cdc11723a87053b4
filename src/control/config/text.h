// Small text work of the configuration: values with units, the nearest known word, quoting for messages. Pure functions
// over texts of any content and length; parsing returns nothing for what it doesn't understand, the caller words the
// error. Durations are microseconds, sizes bytes, as everywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace millrace::control {

/// "250ms", "5s", "2m30s", "1h": whole numbers with the units us, ms, s, m, h, d, larger units first. In microseconds;
/// empty when the text is no duration or does not fit.
std::optional<uint64_t> parse_duration_us(std::string_view text);
std::string format_duration_us(uint64_t microseconds);

/// "512B", "64KiB", "1MiB", "2GiB", "1TiB". In bytes; empty when the text is no size or does not fit.
std::optional<uint64_t> parse_size_bytes(std::string_view text);
std::string format_size_bytes(uint64_t bytes);

/// "LOW-HIGH" or one number for both, each 0…65535 and in order. False when the text is not that.
bool parse_range(std::string_view text, uint16_t& low, uint16_t& high);

/// A whole decimal number without sign.
std::optional<uint64_t> parse_number(std::string_view text);

/// The word of `known` that takes the fewest insertions, deletions, replacements and swaps of neighbours to reach from
/// `word`; the first of equals. Empty only when `known` is.
std::string_view nearest(std::string_view word, std::span<const std::string> known);

/// `text` in double quotes, fit for one line of a terminal: control characters escaped, cut after 64 bytes.
std::string in_quotes(std::string_view text);

}  // namespace millrace::control
