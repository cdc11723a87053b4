// Small text work: see text.h. No locale takes part, so that a file means the same everywhere.
#include "control/config/text.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <vector>

namespace millrace::control {

namespace {

struct Unit {
    std::string_view name;
    uint64_t factor;
};
// Largest first: so a duration is formatted, and so its parts must follow each other.
constexpr Unit duration_units[] = {
    {"d", 86'400'000'000}, {"h", 3'600'000'000}, {"m", 60'000'000}, {"s", 1'000'000}, {"ms", 1'000}, {"us", 1},
};
constexpr Unit size_units[] = {
    {"TiB", uint64_t{1} << 40}, {"GiB", 1u << 30}, {"MiB", 1u << 20}, {"KiB", 1u << 10}, {"B", 1},
};

/// Takes one number with its unit off the front of `text`. Null when there is none.
const Unit* take_part(std::string_view& text, std::span<const Unit> units, uint64_t& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{}) return nullptr;
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    const size_t unit_bytes = std::min(text.find_first_of("0123456789"), text.size());
    for (const Unit& unit : units) {
        if (unit.name != text.substr(0, unit_bytes)) continue;
        text.remove_prefix(unit_bytes);
        return &unit;
    }
    return nullptr;
}

std::optional<uint64_t> parse_units(std::string_view text, std::span<const Unit> units) {
    uint64_t total = 0;
    const Unit* last = nullptr;
    do {
        uint64_t number = 0, product = 0;
        const Unit* unit = take_part(text, units, number);
        if (unit == nullptr || (last != nullptr && unit->factor >= last->factor)) return std::nullopt;
        if (__builtin_mul_overflow(number, unit->factor, &product) || __builtin_add_overflow(total, product, &total))
            return std::nullopt;
        last = unit;
    } while (!text.empty());
    return total;
}

/// In the largest unit that divides the value.
std::string format_units(uint64_t value, std::span<const Unit> units) {
    for (const Unit& unit : units)
        if (value != 0 && value % unit.factor == 0) return std::to_string(value / unit.factor) + std::string(unit.name);
    return "";
}

/// Optimal string alignment distance: Levenshtein's, with a swap of neighbours as one step.
size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
    std::iota(last.begin(), last.end(), size_t{0});
    for (size_t i = 1; i <= a.size(); ++i) {
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, last);
        std::swap(last, row);
    }
    return last[b.size()];
}

}  // namespace

std::optional<uint64_t> parse_duration_us(std::string_view text) {
    return parse_units(text, duration_units);
}

std::string format_duration_us(uint64_t microseconds) {
    return microseconds == 0 ? "0s" : format_units(microseconds, duration_units);
}

std::optional<uint64_t> parse_size_bytes(std::string_view text) {
    return parse_units(text, size_units);
}

std::string format_size_bytes(uint64_t bytes) {
    return bytes == 0 ? "0B" : format_units(bytes, size_units);
}

std::optional<uint64_t> parse_number(std::string_view text) {
    uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

bool parse_range(std::string_view text, uint16_t& low, uint16_t& high) {
    const size_t dash = text.find('-');
    const auto first = parse_number(text.substr(0, dash));
    const auto second = dash == text.npos ? first : parse_number(text.substr(dash + 1));
    if (!first || !second || *first > *second || *second > 65535) return false;
    low = static_cast<uint16_t>(*first);
    high = static_cast<uint16_t>(*second);
    return true;
}

std::string_view nearest(std::string_view word, std::span<const std::string> known) {
    word = word.substr(0, 64);
    std::string_view best;
    size_t best_distance = SIZE_MAX;
    for (const std::string& candidate : known) {
        const size_t distance = edit_distance(word, candidate);
        if (distance < best_distance) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

std::string in_quotes(std::string_view text) {
    constexpr size_t bytes_max = 64;
    constexpr char hex[] = "0123456789abcdef";
    std::string out = "\"";
    for (char c : text.substr(0, bytes_max)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f) {
            out += {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
        } else {
            out += c;
        }
    }
    return out + (text.size() > bytes_max ? "...\"" : "\"");
}

}  // namespace millrace::control
