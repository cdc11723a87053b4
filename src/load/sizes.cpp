#include "load/sizes.h"

#include <algorithm>
#include <charconv>

#include "load/message.h"

namespace millrace::load {
namespace {

std::optional<uint32_t> number(std::string_view text) {
    uint32_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    return failure == std::errc{} && end == text.data() + text.size() ? std::optional(value) : std::nullopt;
}

}  // namespace

std::optional<Sizes> Sizes::parse(std::string_view text, std::string& error) {
    Sizes sizes;
    sizes.ranges_.clear();
    while (true) {
        const size_t comma = text.find(',');
        const std::string_view entry = text.substr(0, comma);
        const size_t dash = entry.find('-');
        const auto low = number(entry.substr(0, dash));
        const auto high = dash == std::string_view::npos ? low : number(entry.substr(dash + 1));
        if (!low || !high || *low > *high) {
            error = "'" + std::string(entry) + "' is no size: write 128, 64-256, or a list as 64,128,1000-1500";
            return std::nullopt;
        }
        if (*low < message_bytes_min || *high > message_bytes_max) {
            error = "'" + std::string(entry) + "': a message has " + std::to_string(message_bytes_min) + " to " +
                    std::to_string(message_bytes_max) + " bytes, since it carries its own check";
            return std::nullopt;
        }
        sizes.ranges_.push_back({*low, *high});
        if (comma == std::string_view::npos) return sizes;
        text.remove_prefix(comma + 1);
    }
}

uint32_t Sizes::largest() const {
    return std::ranges::max_element(ranges_, {}, &Range::high)->high;
}

}  // namespace millrace::load
