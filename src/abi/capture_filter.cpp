// A recursive descent over words; its depth is bounded, since every level takes a step or a bracket of its own.
#include <algorithm>
#include <charconv>

#include <millrace/capture_filter.h>

namespace millrace {

namespace {

constexpr std::string_view blanks = " \t\r\n";
constexpr int depth_max = 32;

class Parser {
  public:
    Parser(std::string_view text, CaptureFilter& filter) : text_(text), filter_(filter) { next(); }

    bool parse(std::string& error) {
        const bool good = word_.empty() || (expression(0) && (word_.empty() || fail("\"and\" or \"or\" is expected")));
        error = error_;
        return good;
    }

  private:
    bool expression(int depth) {
        if (!term(depth)) return false;
        while (word_ == "or") {
            next();
            if (!term(depth) || !add({.address = {}, .test = CaptureTest::or_, .reserved = 0, .port = 0})) return false;
        }
        return true;
    }

    bool term(int depth) {
        if (!factor(depth)) return false;
        while (word_ == "and") {
            next();
            if (!factor(depth) || !add({.address = {}, .test = CaptureTest::and_, .reserved = 0, .port = 0}))
                return false;
        }
        return true;
    }

    bool factor(int depth) {
        if (depth == depth_max) return fail("the brackets and \"not\" are too deep");
        if (word_ == "not") {
            next();
            return factor(depth + 1) && add({.address = {}, .test = CaptureTest::not_, .reserved = 0, .port = 0});
        }
        if (word_ == "(") {
            next();
            if (!expression(depth + 1)) return false;
            if (word_ != ")") return fail("\")\" is expected");
            next();
            return true;
        }
        return test();
    }

    bool test() {
        CaptureStep step{};
        if (word_ == "host") {
            next();
            const auto address = parse_ip_address(word_);
            if (!address) return fail("an IPv4 or IPv6 address is expected");
            step.test = CaptureTest::host;
            step.address = *address;
        } else if (word_ == "port") {
            next();
            const auto [end, code] = std::from_chars(word_.data(), word_.data() + word_.size(), step.port);
            if (word_.empty() || code != std::errc() || end != word_.data() + word_.size())
                return fail("a port from 0 to 65535 is expected");
            step.test = CaptureTest::port;
        } else if (word_ == "tcp") {
            step.test = CaptureTest::tcp;
        } else if (word_ == "udp") {
            step.test = CaptureTest::udp;
        } else if (word_ == "icmp") {
            step.test = CaptureTest::icmp;
        } else if (word_ == "arp") {
            step.test = CaptureTest::arp;
        } else {
            return fail("host, port, tcp, udp, icmp, arp, not or \"(\" is expected");
        }
        next();
        return add(step);
    }

    bool add(const CaptureStep& step) {
        if (filter_.count == CaptureFilter::steps_max) return fail("the expression is too long");
        filter_.steps[filter_.count++] = step;
        return true;
    }

    /// Brackets are words of their own; the empty word is the end.
    void next() {
        at_ = std::min(text_.find_first_not_of(blanks, at_ + word_.size()), text_.size());
        const std::string_view rest = text_.substr(at_);
        const bool bracket = rest.starts_with('(') || rest.starts_with(')');
        word_ = rest.substr(0, bracket ? 1 : rest.find_first_of(" \t\r\n()"));
    }

    bool fail(const char* what) {
        error_ = std::string(what) + " at character " + std::to_string(at_ + 1);
        return false;
    }

    std::string_view text_;
    CaptureFilter& filter_;
    std::string_view word_;
    size_t at_ = 0;
    std::string error_;
};

}  // namespace

bool parse_capture_filter(std::string_view text, CaptureFilter& filter, std::string& error) {
    filter = {};
    if (text.size() <= capture_filter_text_max) return Parser(text, filter).parse(error);
    error = "longer than " + std::to_string(capture_filter_text_max) + " characters";
    return false;
}

}  // namespace millrace
