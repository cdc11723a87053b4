// The tokens of a segment script. Bytes in, tokens out; never fails: what is no token is one of a single character.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::script {

struct Token {
    enum class Kind : uint8_t {
        end,
        option,    ///< --name=value; `text` is name=value
        integer,   ///< decimal, perhaps negative; `number`; `text` as written
        hex,       ///< 0x…; `number`
        decimal,   ///< with a point; `microseconds` is its value as a time
        word,      ///< letters, digits, underscores
        string,    ///< "…"; `text` without the quotes
        command,   ///< `…`
        code,      ///< %{ … }%
        ellipsis,  ///< ...
        sign,      ///< any other character, in `text`
        broken,    ///< a string, comment or block that does not end
    };
    Kind kind = Kind::end;
    int line = 1;
    std::string text;
    int64_t number = 0;
    int64_t microseconds = 0;  ///< integers and decimals, taken as seconds; clamped to what can be said

    bool is(char c) const { return kind == Kind::sign && text[0] == c; }
    bool is_word(std::string_view word) const { return kind == Kind::word && text == word; }
};

/// All tokens; the last is `end`.
std::vector<Token> tokenize(std::string_view text);

}  // namespace millrace::script
