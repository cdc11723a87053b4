#include "tests/tools/segment_script/lexer.h"

#include <algorithm>

namespace millrace::script {
namespace {

using Kind = Token::Kind;

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_word_character(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

constexpr int64_t seconds_max = 1'000'000'000;

/// Digits as a number that stays within int64_t; longer ones are cut off at a value that no field holds.
int64_t number_of(std::string_view digits, int base) {
    int64_t value = 0;
    for (char c : digits) {
        const int digit = is_digit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
        value = std::min<int64_t>(value * base + digit, int64_t{1} << 50);
    }
    return value;
}

/// Microseconds of "12.345"; what lies behind the sixth decimal is cut off.
int64_t microseconds_of(std::string_view text) {
    const size_t point = text.find('.');
    int64_t us = std::min(number_of(text.substr(0, point), 10), seconds_max) * 1'000'000;
    if (point == std::string_view::npos) return us;
    std::string fraction(text.substr(point + 1, 6));
    fraction.resize(6, '0');
    return us + number_of(fraction, 10);
}

class Lexer {
  public:
    explicit Lexer(std::string_view text) : text_(text) {}

    std::vector<Token> run() {
        while (skip_space_and_comments()) next();
        add(Kind::end, at_);
        return std::move(tokens_);
    }

  private:
    char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
    bool starts(std::string_view what) const { return text_.substr(at_).starts_with(what); }

    void move_to(size_t to) {
        line_ += static_cast<int>(
            std::count(text_.begin() + static_cast<long>(at_), text_.begin() + static_cast<long>(to), '\n'));
        at_ = to;
    }

    bool skip_space_and_comments() {
        while (at_ < text_.size()) {
            if (is_space(peek())) {
                move_to(at_ + 1);
            } else if (starts("//")) {
                move_to(std::min(text_.find('\n', at_), text_.size()));
            } else if (starts("/*")) {
                const size_t end = text_.find("*/", at_ + 2);
                if (end == std::string_view::npos) return true;  // next() will find it broken
                move_to(end + 2);
            } else {
                return true;
            }
        }
        return false;
    }

    Token& add(Kind kind, size_t end) {
        Token token;
        token.kind = kind;
        token.line = line_;
        token.text = text_.substr(at_, end - at_);
        move_to(end);
        return tokens_.emplace_back(std::move(token));
    }

    /// `open` … `close`; a backslash keeps the next character from closing when `escapes`.
    void delimited(Kind kind, std::string_view open, std::string_view close, bool escapes) {
        size_t end = at_ + open.size();
        while (end < text_.size() && !text_.substr(end).starts_with(close))
            end += escapes && text_[end] == '\\' ? 2 : 1;
        if (end >= text_.size()) {
            add(Kind::broken, text_.size());
            return;
        }
        Token& token = add(kind, end + close.size());
        token.text = token.text.substr(open.size(), token.text.size() - open.size() - close.size());
    }

    size_t digits_end(size_t from) const {
        while (from < text_.size() && is_digit(text_[from])) ++from;
        return from;
    }

    /// -1, 12, .5, 0.25, 0x1f; or a word that begins with digits.
    bool number() {
        const size_t start = at_ + (peek() == '-' ? 1 : 0);
        const size_t whole = digits_end(start);
        const size_t fraction = whole < text_.size() && text_[whole] == '.' ? digits_end(whole + 1) : whole;
        if (fraction > whole + 1) {
            Token& token = add(Kind::decimal, fraction);
            token.microseconds = microseconds_of(token.text.substr(token.text[0] == '-' ? 1 : 0));
            if (token.text[0] == '-') token.microseconds = -token.microseconds;
            return true;
        }
        if (whole == start) return false;
        if (whole < text_.size() && is_word_character(text_[whole]) && start == at_) {
            size_t end = whole;
            while (end < text_.size() && is_word_character(text_[end])) ++end;
            const std::string_view word = text_.substr(at_, end - at_);
            const bool hex = word.size() > 2 && word.starts_with("0x") &&
                             word.find_first_not_of("0123456789abcdefABCDEF", 2) == std::string_view::npos;
            Token& token = add(hex ? Kind::hex : Kind::word, end);
            if (hex) token.number = number_of(token.text.substr(2), 16);
            return true;
        }
        Token& token = add(Kind::integer, whole);
        const bool negative = token.text[0] == '-';
        token.number = number_of(token.text.substr(negative ? 1 : 0), 10);
        token.microseconds = std::min(token.number, seconds_max) * 1'000'000;
        if (negative) token.number = -token.number, token.microseconds = -token.microseconds;
        return true;
    }

    void option() {
        size_t end = at_ + 2;
        bool quoted = false;
        for (; end < text_.size() && (quoted || !is_space(text_[end])); ++end)
            if (text_[end] == '"' || text_[end] == '`') quoted = !quoted;
        Token& token = add(Kind::option, end);
        token.text.erase(0, 2);
    }

    void next() {
        if (starts("/*")) {
            add(Kind::broken, text_.size());
        } else if (starts("--") && is_word_character(peek(2))) {
            option();
        } else if (starts("...")) {
            add(Kind::ellipsis, at_ + 3);
        } else if (starts("%{")) {
            delimited(Kind::code, "%{", "}%", false);
        } else if (peek() == '"') {
            delimited(Kind::string, "\"", "\"", true);
        } else if (peek() == '`') {
            delimited(Kind::command, "`", "`", true);
        } else if (number()) {
        } else if (is_word_character(peek())) {
            size_t end = at_;
            while (end < text_.size() && is_word_character(text_[end])) ++end;
            add(Kind::word, end);
        } else {
            add(Kind::sign, at_ + 1);
        }
    }

    std::string_view text_;
    size_t at_ = 0;
    int line_ = 1;
    std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view text) {
    return Lexer(text).run();
}

}  // namespace millrace::script
