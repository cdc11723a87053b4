#include "cli/table.h"

#include <algorithm>
#include <cstdio>

namespace millrace::cli {

namespace {

std::string one_decimal(double value, const char* unit) {
    char text[48];
    std::snprintf(text, sizeof text, "%.1f %s", value, unit);
    return text;
}

/// Characters, not bytes: texts may hold UTF-8.
size_t width_of(const std::string& text) {
    return static_cast<size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

std::string Table::text() const {
    const size_t columns = rows_.front().size();
    std::vector<size_t> widths(columns, 0);
    std::vector<bool> numeric(columns, rows_.size() > 1);
    for (size_t r = 0; r < rows_.size(); ++r)
        for (size_t c = 0; c < columns; ++c) {
            const std::string& cell = rows_[r][c];
            widths[c] = std::max(widths[c], width_of(cell));
            if (r != 0 && cell != "-" &&
                (cell.empty() || cell[0] < '0' || cell[0] > '9' || cell.find_first_of(":/") != std::string::npos))
                numeric[c] = false;
        }
    std::string out;
    for (const auto& row : rows_) {
        std::string line;
        for (size_t c = 0; c < columns; ++c) {
            const std::string blanks(widths[c] - width_of(row[c]), ' ');
            line += numeric[c] ? blanks + row[c] : row[c] + blanks;
            line += "  ";
        }
        line.erase(line.find_last_not_of(' ') + 1);
        out += line + '\n';
    }
    return out;
}

std::string count_text(uint64_t value) {
    std::string text = std::to_string(value);
    for (size_t i = text.size(); i > 3;) text.insert(i -= 3, ",");
    return text;
}

std::string bytes_text(uint64_t bytes) {
    constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    if (bytes < 1024) return std::to_string(bytes) + " B";
    double value = static_cast<double>(bytes);
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < std::size(units); ++unit) value /= 1024;
    return one_decimal(value, units[unit]);
}

std::string duration_text(uint64_t us) {
    if (us < 1000) return std::to_string(us) + " us";
    if (us < 1'000'000) return one_decimal(static_cast<double>(us) / 1e3, "ms");
    if (us < 60'000'000) return one_decimal(static_cast<double>(us) / 1e6, "s");
    const uint64_t s = us / 1'000'000;
    const auto two = [](uint64_t big, const char* a, uint64_t small, const char* b) {
        return std::to_string(big) + a + ' ' + std::to_string(small) + b;
    };
    if (s < 3600) return two(s / 60, "m", s % 60, "s");
    if (s < 86'400) return two(s / 3600, "h", s % 3600 / 60, "m");
    return two(s / 86'400, "d", s % 86'400 / 3600, "h");
}

std::string percent_text(double share) {
    return one_decimal(share * 100, "%");
}

std::string value_text(uint64_t value, const std::string& unit) {
    if (unit == "bytes") return bytes_text(value);
    if (unit == "us") return duration_text(value);
    return count_text(value);
}

}  // namespace millrace::cli
