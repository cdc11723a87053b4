#include "tests/tools/segment_script/parser.h"

#include <algorithm>
#include <limits>

#include "dataplane/wire/tcp_segment.h"
#include "tests/tools/segment_script/lexer.h"

namespace millrace::script {
namespace {

using Kind = Token::Kind;

constexpr int nesting_max = 32;

void put_be(std::vector<uint8_t>& out, uint64_t value, int bytes) {
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(value >> shift));
}

/// Bytes of "0a1b…"; empty when it is not whole bytes in hexadecimal.
std::optional<std::vector<uint8_t>> hex_bytes(std::string_view text) {
    if (text.starts_with("0x")) text.remove_prefix(2);
    if (text.size() % 2 != 0 || text.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) return {};
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i < text.size(); i += 2)
        bytes.push_back(static_cast<uint8_t>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
    return bytes;
}

class Parser {
  public:
    Parser(std::string_view text, const Defines& defines) : tokens_(tokenize(text)), defines_(defines) {}

    Script run();

  private:
    const Token& peek(size_t ahead = 0) const { return tokens_[std::min(at_ + ahead, tokens_.size() - 1)]; }
    const Token& take() { return tokens_[std::min(at_++, tokens_.size() - 1)]; }

    // Each returns false after noting a problem; callers pass that on.
    bool malformed(const std::string& reason) { return problem(reason, true); }
    bool unsupported(const std::string& reason) { return problem(reason, false); }
    bool problem(const std::string& reason, bool is_malformed);
    bool expect(char sign);
    bool accept(char sign);
    bool accept_word(std::string_view word);
    template <typename Number>
    bool integer(Number& out, const char* what);

    bool setting();
    void apply_defines();
    bool event();
    bool time(EventTime& out);
    bool seconds(int64_t& out);
    bool packet(Event& event);
    bool ip_info(SegmentSpec& out);
    bool ip_mark(SegmentSpec& out);
    bool flags(SegmentSpec& out);
    bool sequence(uint32_t& seq, uint32_t& length);
    bool options(SegmentSpec& out);
    bool option(SegmentSpec& out);
    bool sack_blocks(Option& out);
    bool icmp(IcmpSpec& out);
    bool call(Call& out);
    bool value(Value& out);
    bool one_value(Value& out);
    bool values(char close, std::vector<Value>& out);
    bool note();

    std::vector<Token> tokens_;
    Defines defines_;
    size_t at_ = 0;
    int nesting_ = 0;
    Script script_;
};

Script Parser::run() {
    bool good = true;
    while (good && peek().kind == Kind::option) good = setting();
    apply_defines();
    while (good && peek().kind == Kind::command) script_.set_up.push_back({take().text, false});
    // A command without a time may also stand at the end, to clean up.
    while (good && peek().kind != Kind::end) {
        if (peek().kind == Kind::command && peek(1).kind == Kind::end)
            take();
        else
            good = event();
    }
    if (good && script_.events.empty()) malformed("no event");
    return std::move(script_);
}

bool Parser::problem(const std::string& reason, bool is_malformed) {
    if (!script_.problem) script_.problem = {peek().line, reason, is_malformed};
    return false;
}

bool Parser::accept(char sign) {
    if (!peek().is(sign)) return false;
    ++at_;
    return true;
}

bool Parser::accept_word(std::string_view word) {
    if (!peek().is_word(word)) return false;
    ++at_;
    return true;
}

bool Parser::expect(char sign) {
    if (accept(sign)) return true;
    return malformed(std::string("'") + sign + "' wanted before '" + peek().text + "'");
}

template <typename Number>
bool Parser::integer(Number& out, const char* what) {
    if (peek().kind != Kind::integer && peek().kind != Kind::hex)
        return malformed(std::string(what) + " wanted, not '" + peek().text + "'");
    const int64_t number = peek().number;
    if (number < std::numeric_limits<Number>::min() || number > int64_t{std::numeric_limits<Number>::max()})
        return malformed(std::string(what) + " out of range");
    ++at_;
    out = static_cast<Number>(number);
    return true;
}

bool Parser::setting() {
    const Token& token = take();
    const size_t equals = token.text.find('=');
    Setting setting{token.line, token.text.substr(0, equals), {}};
    if (equals != std::string::npos) setting.value = token.text.substr(equals + 1);
    if (setting.name == "define") {
        const size_t middle = setting.value.find('=');
        if (middle == std::string::npos) return malformed("--define=NAME=VALUE wanted");
        defines_.try_emplace(setting.value.substr(0, middle), setting.value.substr(middle + 1));
        return true;
    }
    script_.settings.push_back(std::move(setting));
    return true;
}

void Parser::apply_defines() {
    for (Token& token : tokens_) {
        if (token.kind != Kind::word) continue;
        const auto define = defines_.find(token.text);
        if (define == defines_.end() || define->second.empty()) continue;
        const std::vector<Token> meant = tokenize(define->second);
        const int line = token.line;
        token = meant.size() == 2 ? meant[0] : Token{Kind::word, line, define->second, 0, 0};
        token.line = line;
    }
}

bool Parser::event() {
    Event event;
    event.line = peek().line;
    if (!time(event.time)) return false;
    bool good = true;
    const Token& first = peek();
    if (first.is('<') || first.is('>')) {
        good = packet(event);
    } else if (first.kind == Kind::command || first.kind == Kind::code) {
        event.action = Command{first.text, first.kind == Kind::code};
        ++at_;
    } else {
        good = call(event.action.emplace<Call>());
    }
    if (!good) return false;
    const auto* segment = std::get_if<SegmentSpec>(&event.action);
    const bool outbound = segment != nullptr && !segment->inbound;
    const bool vague = event.time.kind != TimeKind::absolute && event.time.kind != TimeKind::relative;
    if (vague && !outbound) return malformed("only an outbound segment may have '*' or a range as its time");
    script_.events.push_back(std::move(event));
    return true;
}

bool Parser::seconds(int64_t& out) {
    if (peek().kind != Kind::integer && peek().kind != Kind::decimal)
        return malformed("a time wanted, not '" + peek().text + "'");
    out = take().microseconds;
    return out >= 0 || malformed("a negative time");
}

bool Parser::time(EventTime& out) {
    if (accept('*')) {
        out.kind = TimeKind::any;
        return true;
    }
    const bool relative = accept('+');
    if (!seconds(out.us)) return false;
    out.kind = relative ? TimeKind::relative : TimeKind::absolute;
    if (!accept('~')) return true;
    if (relative && !expect('+')) return false;
    if (!seconds(out.end_us)) return false;
    out.kind = relative ? TimeKind::relative_range : TimeKind::absolute_range;
    return out.end_us >= out.us || malformed("a time range that runs backwards");
}

// ---- packets

bool Parser::packet(Event& event) {
    SegmentSpec segment;
    segment.inbound = take().is('<');
    if (!ip_info(segment)) return false;
    for (const char* other : {"udp", "ipv4", "ipv6", "gre", "mpls", "encap"})
        if (peek().is_word(other)) return unsupported(std::string(other) + " packets");
    if (accept_word("icmp")) {
        if (!segment.inbound) return unsupported("ICMP that the stack sends");
        return icmp(event.action.emplace<IcmpSpec>());
    }
    if (peek().kind == Kind::integer && peek(1).is('>')) {
        auto& ports = segment.ports.emplace();
        if (!integer(ports.first, "a port") || !expect('>') || !integer(ports.second, "a port")) return false;
    }
    if (!flags(segment) || !sequence(segment.seq, segment.length)) return false;
    if (accept_word("ack") && !integer(segment.ack.emplace(), "an acknowledgement number")) return false;
    if (accept_word("win") && !integer(segment.window.emplace(), "a window")) return false;
    if (accept_word("urg") && !integer(segment.urgent, "an urgent pointer")) return false;
    // "<" may also be the next event's, but that has a time in front of it.
    if (accept('<') && !options(segment)) return false;
    if (segment.inbound && segment.any_options) return malformed("<...> on an inbound segment");
    event.action = std::move(segment);
    return true;
}

bool Parser::ip_info(SegmentSpec& out) {
    if (!peek().is('[') && !peek().is('(')) return true;
    const char close = take().is('[') ? ']' : ')';
    do {
        if (!ip_mark(out)) return false;
    } while (accept(','));
    return expect(close);
}

bool Parser::ip_mark(SegmentSpec& out) {
    static const std::map<std::string_view, uint8_t> marks = {
        {"noecn", uint8_t{0}}, {"ect1", uint8_t{1}}, {"ect0", uint8_t{2}}, {"ce", uint8_t{3}}};
    std::string name = peek().text;
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    if (const auto mark = marks.find(name); mark != marks.end()) {
        ++at_;
        out.ecn_check = EcnCheck::exact;
        out.ecn = mark->second;
        return true;
    }
    if (name == "ect01") {
        ++at_;
        out.ecn_check = EcnCheck::capable;
        return !out.inbound || malformed("[ect01] on an inbound segment");
    }
    if (name == "tos" || name == "ttl" || name == "flowlabel") return unsupported("'" + name + "' of the IP header");
    return malformed("'" + peek().text + "' is no mark of the IP header");
}

bool Parser::flags(SegmentSpec& out) {
    static const std::map<char, uint8_t> known = {{'F', wire::tcp_fin}, {'S', wire::tcp_syn}, {'R', wire::tcp_rst},
                                                  {'P', wire::tcp_psh}, {'U', wire::tcp_urg}, {'E', wire::tcp_ece},
                                                  {'W', wire::tcp_cwr}};
    if (accept('-')) return true;
    if (peek().kind == Kind::decimal) return unsupported("AccECN counters");
    const bool word = peek().kind == Kind::word;
    if (word) {
        for (char c : peek().text) {
            if (c == 'A') return unsupported("AccECN's flag");
            const auto flag = known.find(c);
            if (flag == known.end()) return malformed("'" + peek().text + "' are no TCP flags");
            out.flags = static_cast<uint8_t>(out.flags | flag->second);
        }
        ++at_;
    }
    if (accept('.'))
        out.flags |= wire::tcp_ack;
    else if (!word)
        return malformed("TCP flags wanted, not '" + peek().text + "'");
    return true;
}

bool Parser::sequence(uint32_t& seq, uint32_t& length) {
    uint32_t end = 0;
    if (!integer(seq, "a sequence number") || !expect(':') || !integer(end, "a sequence number") || !expect('('))
        return false;
    if (!integer(length, "a length") || !expect(')')) return false;
    if (seq + length != end) return malformed("the sequence numbers do not agree with the length");
    return length <= 65000 || malformed("a segment longer than 65,000 bytes");
}

bool Parser::options(SegmentSpec& out) {
    if (peek().kind == Kind::ellipsis) {
        ++at_;
        out.any_options = true;
        return expect('>');
    }
    do {
        if (!option(out)) return false;
    } while (accept(','));
    size_t bytes = 0;
    for (const Option& option : out.options)
        bytes += option.value.size() + (option.raw ? 0 : option.kind <= Option::nop ? 1 : 2);
    return bytes <= 40 ? expect('>') : malformed("more than 40 bytes of options");
}

bool Parser::option(SegmentSpec& out) {
    Option& option = out.options.emplace_back();
    const std::string name = peek().text;
    const auto with_number = [&](uint8_t kind, int bytes, const char* what) {
        uint32_t number = 0;
        option.kind = kind;
        if (!integer(number, what)) return false;
        if (bytes < 4 && number >> (bytes * 8) != 0) return malformed(std::string(what) + " out of range");
        put_be(option.value, number, bytes);
        return true;
    };
    ++at_;
    if (name == "eol") return true;
    if (name == "nop") {
        option.kind = Option::nop;
        return true;
    }
    if (name == "sackOK") {
        option.kind = Option::sack_ok;
        return true;
    }
    if (name == "mss") return with_number(Option::mss, 2, "an MSS");
    if (name == "wscale") return with_number(Option::window_scale, 1, "a window scale");
    if (name == "sack") return sack_blocks(option);
    if (name == "TS") {
        if (!accept_word("val")) return malformed("'val' wanted");
        if (!with_number(Option::timestamps, 4, "a timestamp")) return false;
        if (!accept_word("ecr")) return malformed("'ecr' wanted");
        return with_number(Option::timestamps, 4, "a timestamp");
    }
    const bool blob = name == "raw" || name == "md5" || name == "FO";
    if (blob) {
        const bool some = peek().kind == Kind::word || peek().kind == Kind::hex || peek().kind == Kind::integer;
        const auto bytes = hex_bytes(some ? take().text : std::string());
        if (!bytes && name != "raw") return unsupported("the option " + name + " without bytes");
        if (!bytes || (name == "raw" && bytes->empty())) return malformed("bytes in hexadecimal wanted");
        option.value = *bytes;
        option.raw = name == "raw";
        option.kind = name == "md5" ? Option::md5 : Option::fast_open;
        return true;
    }
    --at_;
    if (name == "FOEXP" || name == "ECN") return unsupported("the option " + name);
    return malformed("'" + name + "' is no TCP option");
}

bool Parser::sack_blocks(Option& out) {
    out.kind = Option::sack;
    while (peek().kind == Kind::integer) {
        uint32_t left = 0, right = 0;
        if (!integer(left, "a sequence number") || !expect(':') || !integer(right, "a sequence number")) return false;
        put_be(out.value, left, 4);
        put_be(out.value, right, 4);
    }
    return !out.value.empty() || malformed("a SACK block wanted");
}

bool Parser::icmp(IcmpSpec& out) {
    if (peek().kind != Kind::word) return malformed("a type of ICMP wanted");
    out.type = take().text;
    if (peek().kind == Kind::word && !peek().is_word("mtu") && !peek().is_word("id")) out.code = take().text;
    if (accept_word("mtu") && !integer(out.mtu, "an MTU")) return false;
    if (peek().is_word("id")) return unsupported("ICMP echoes");
    if (!accept('[')) return true;
    if (peek().is_word("udp") || peek().is_word("raw")) return unsupported("ICMP about other protocols");
    uint32_t length = 0;
    return sequence(out.seq, length) && expect(']');
}

// ---- calls

bool Parser::call(Call& out) {
    if (peek().kind == Kind::ellipsis) {
        ++at_;
        int64_t end = 0;
        if (!seconds(end)) return false;
        out.ends_us = end;
    }
    if (peek().kind != Kind::word) return malformed("an event wanted, not '" + peek().text + "'");
    out.function = take().text;
    if (!expect('(') || !values(')', out.arguments) || !expect('=') || !value(out.result)) return false;
    if (peek().kind == Kind::word) out.error = take().text;
    return note();
}

/// What strace would say in parentheses: not looked at.
bool Parser::note() {
    if (!accept('(')) return true;
    while (!peek().is(')')) {
        if (peek().kind == Kind::end) return malformed("')' wanted");
        ++at_;
    }
    return expect(')');
}

bool Parser::values(char close, std::vector<Value>& out) {
    if (accept(close)) return true;
    do {
        if (!value(out.emplace_back())) return false;
    } while (accept(','));
    return expect(close);
}

bool Parser::value(Value& out) {
    if (++nesting_ > nesting_max) return malformed("nested too deeply");
    bool good = one_value(out);
    if (good && peek().is('|')) {
        Value any;
        any.kind = Value::Kind::any_of;
        any.name = out.name;
        any.items.push_back(std::move(out));
        while (good && accept('|')) good = one_value(any.items.emplace_back());
        out = std::move(any);
    }
    --nesting_;
    return good;
}

bool Parser::one_value(Value& out) {
    const Token& token = take();
    out.text = token.text;
    if (token.kind == Kind::ellipsis) return true;
    if (token.kind == Kind::integer || token.kind == Kind::hex) {
        out.kind = Value::Kind::number;
        out.number = token.number;
        return true;
    }
    if (token.kind == Kind::string) {
        out.kind = Value::Kind::text;
        if (peek().kind == Kind::ellipsis) ++at_;  // cut off, as strace does
        return true;
    }
    if (token.is('[') || token.is('{')) {
        if (!values(token.is('[') ? ']' : '}', out.items)) return false;
        const bool named = !out.items.empty() && !out.items[0].name.empty();
        out.kind = named ? Value::Kind::record : Value::Kind::list;
        return true;
    }
    if (token.kind != Kind::word) {
        --at_;
        return malformed("a value wanted, not '" + token.text + "'");
    }
    if (accept('(')) {
        out.kind = Value::Kind::call;
        if (!values(')', out.items)) return false;
    } else {
        out.kind = Value::Kind::word;
    }
    if (!accept('=')) return true;
    const std::string name = token.text;
    if (++nesting_ > nesting_max) return malformed("nested too deeply");
    out = {};
    const bool good = one_value(out);
    --nesting_;
    out.name = name;
    return good;
}

}  // namespace

Script parse(std::string_view text, const Defines& defines) {
    return Parser(text, defines).run();
}

}  // namespace millrace::script
