// How long the messages are: always the same, or any length of a range, each as likely, or of a list. One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::load {

class Sizes {
  public:
    /// Every message has `bytes`.
    explicit Sizes(uint32_t bytes = 128) : ranges_{{bytes, bytes}} {}

    /// Reads "128", "64-256" or a list of such, "64,64,1000-1500", of which each entry is as likely. Empty, with a
    /// reason, when the text is none of these or a size is out of bounds (message.h).
    static std::optional<Sizes> parse(std::string_view text, std::string& error);

    /// A size for each value of `random`, whose bits are equally likely.
    uint32_t draw(uint64_t random) const {
        if (ranges_.size() == 1 && ranges_[0].low == ranges_[0].high) return ranges_[0].low;
        const Range& range = ranges_[static_cast<uint32_t>(random) % ranges_.size()];
        return range.low + static_cast<uint32_t>((random >> 32) % (range.high - range.low + 1u));
    }

    uint32_t largest() const;

  private:
    struct Range {
        uint32_t low, high;
    };
    std::vector<Range> ranges_;
};

}  // namespace millrace::load
