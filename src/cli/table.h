// Aligned tables and readable units for people. Scripts use --json.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace millrace::cli {

/// Columns as wide as their widest cell, two blanks apart. A column whose cells all begin with a digit or are "-" is
/// aligned to the right. No blanks at the ends of lines.
class Table {
  public:
    explicit Table(std::vector<std::string> headings) : rows_{std::move(headings)} {}
    void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
    bool empty() const { return rows_.size() == 1; }
    std::string text() const;

  private:
    std::vector<std::vector<std::string>> rows_;
};

std::string count_text(uint64_t value);            ///< 1234567 → "1,234,567"
std::string bytes_text(uint64_t bytes);            ///< "512 B", "1.5 KiB", "20.0 MiB"
std::string duration_text(uint64_t microseconds);  ///< "85 us", "1.5 ms", "12.0 s", "3m 20s", "2h 5m", "4d 3h"
std::string percent_text(double share);            ///< 0.123 → "12.3 %"

/// A value in the unit of its descriptor: bytes and us get readable ones, others their count.
std::string value_text(uint64_t value, const std::string& unit);

}  // namespace millrace::cli
