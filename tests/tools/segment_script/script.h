// A segment script as values: what the parser makes of a .pkt file and the interpreter runs. The notation is that of
// packetdrill (Google's public tool): options, then events, each with a time. Nothing here knows the TCP stack.
//
//   --tolerance_usecs=1000
//   0.0   socket(..., SOCK_STREAM, IPPROTO_TCP) = 3          a call of the sockets interface and its result
//   +0    < S 0:0(0) win 1000 <mss 1460>                     a segment that the peer sends
//   +0    > S. 0:0(0) ack 1 <...>                            a segment that the stack must send
//   +.1...0.3 read(4, ..., 100) = 100                        a call that blocks until a time
//
// Numbers are those of the script: sequence numbers relative to the initial ones, times in microseconds.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace millrace::script {

/// An argument or result of a call.
struct Value {
    enum class Kind : uint8_t {
        ellipsis,  ///< `...`
        number,
        word,    ///< a symbol: AF_INET, SHUT_WR
        text,    ///< a string in quotes; `text` is its content
        any_of,  ///< `A|B`: items
        list,    ///< `[ … ]` or `{ … }` without names
        record,  ///< `{name=value, …}`: items, each with its `name`
        call,    ///< `word(items)`: htons(8080)
    };
    Kind kind = Kind::ellipsis;
    int64_t number = 0;
    std::string text;
    std::string name;
    std::vector<Value> items;
};

struct Call {
    std::string function;
    std::vector<Value> arguments;
    Value result;
    std::string error;               ///< errno's name; empty when the script gives none
    std::optional<int64_t> ends_us;  ///< of a blocking call; relative to the event's base when the event is
};

/// A TCP option as bytes: kind and what follows the length. `raw` has whatever bytes the script gives, uninterpreted.
struct Option {
    enum Kind : uint8_t { end = 0, nop = 1, mss = 2, window_scale = 3, sack_ok = 4, sack = 5, timestamps = 8 };
    static constexpr uint8_t fast_open = 34, md5 = 19;
    uint8_t kind = end;
    std::vector<uint8_t> value;
    bool raw = false;

    bool operator==(const Option&) const = default;
};

enum class EcnCheck : uint8_t { none, exact, capable };  ///< `capable`: [ect01], either mark

struct SegmentSpec {
    bool inbound = false;
    EcnCheck ecn_check = EcnCheck::none;
    uint8_t ecn = 0;
    std::optional<std::pair<uint16_t, uint16_t>> ports;
    uint8_t flags = 0;
    uint32_t seq = 0;
    uint32_t length = 0;
    std::optional<uint32_t> ack;
    std::optional<uint16_t> window;
    uint16_t urgent = 0;
    bool any_options = false;
    std::vector<Option> options;
};

/// An ICMP error of the peer's side, about a segment of ours.
struct IcmpSpec {
    std::string type;  ///< as the notation names it; what it means depends on the family (packet.h)
    std::string code;
    uint32_t mtu = 0;
    uint32_t seq = 0;  ///< of the segment that it is about
};

struct Command {  ///< a shell command or a Python block: not run
    std::string text;
    bool python = false;
};

enum class TimeKind : uint8_t { absolute, relative, absolute_range, relative_range, any };

struct EventTime {
    TimeKind kind = TimeKind::absolute;
    int64_t us = 0;
    int64_t end_us = 0;  ///< of a range

    bool relative() const { return kind == TimeKind::relative || kind == TimeKind::relative_range; }
};

struct Event {
    int line = 0;
    EventTime time;
    std::variant<SegmentSpec, IcmpSpec, Call, Command> action;
};

/// An option line `--name=value`.
struct Setting {
    int line = 0;
    std::string name;
    std::string value;
};

/// Why the script can't be run from `line` on.
struct Problem {
    int line = 0;
    std::string reason;
    bool malformed = false;  ///< true: not in the notation; false: in it, but not supported here
};

struct Script {
    std::vector<Setting> settings;
    std::vector<Command> set_up;  ///< a command before the first event
    std::vector<Event> events;    ///< those before the problem, if there is one
    std::optional<Problem> problem;
};

}  // namespace millrace::script
