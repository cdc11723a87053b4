// The spellings that names, devices, hosts, paths and headers may have: plain loops over ASCII, no locale. Both the
// side that reports a wrong one and the side that refuses it call these, so they can't disagree.
#include <millrace/config_rules.h>

namespace millrace {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_alnum(char c) {
    return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z');
}
bool is_name_char(char c) {
    return is_alnum(c) || c == '.' || c == '_' || c == '-';
}

template <typename Predicate>
bool all_of(std::string_view text, Predicate allowed) {
    for (char c : text)
        if (!allowed(c)) return false;
    return true;
}

bool valid_pci_address(std::string_view text) {
    constexpr std::string_view form = "xxxx:xx:xx.o";
    if (text.size() != form.size()) return false;
    for (size_t i = 0; i < form.size(); ++i) {
        const char c = text[i];
        const bool hex = is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        const bool good = form[i] == 'x' ? hex : form[i] == 'o' ? c >= '0' && c <= '7' : c == form[i];
        if (!good) return false;
    }
    return true;
}

}  // namespace

bool valid_name(std::string_view text) {
    return !text.empty() && text.size() <= name_bytes_max && is_alnum(text[0]) && all_of(text, is_name_char);
}

bool valid_device(Driver driver, std::string_view text) {
    switch (driver) {
        case Driver::af_xdp:
        case Driver::af_packet:
            return !text.empty() && text.size() <= 15 && is_alnum(text[0]) && all_of(text, is_name_char);
        case Driver::memif:
            return text.size() > 1 && text.size() <= 107 && text[0] == '/' &&
                   all_of(text, [](char c) { return is_name_char(c) || c == '/'; });
        case Driver::pci:
            return valid_pci_address(text);
    }
    return false;
}

bool valid_host_pattern(std::string_view text) {
    if (text.size() > host_bytes_max) return false;
    if (text.starts_with("[")) {
        return text.ends_with("]") && text.size() > 2 && all_of(text.substr(1, text.size() - 2), [](char c) {
                   return is_digit(c) || (c >= 'a' && c <= 'f') || c == ':' || c == '.';
               });
    }
    if (text.starts_with("*.")) text.remove_prefix(2);
    if (text.empty() || text.front() == '.' || text.back() == '.' || text.find("..") != text.npos) return false;
    return all_of(text, [](char c) { return is_digit(c) || is_lower(c) || c == '-' || c == '_' || c == '.'; });
}

bool valid_path_prefix(std::string_view text) {
    return text.starts_with("/") && text.size() <= path_bytes_max &&
           all_of(text, [](char c) { return c > 0x20 && c < 0x7f && c != '?' && c != '#'; });
}

bool valid_header_name(std::string_view text) {
    constexpr std::string_view other = "!#$%&'*+-.^_`|~";
    return !text.empty() && text.size() <= header_name_bytes_max &&
           all_of(text, [&](char c) { return is_alnum(c) || other.find(c) != other.npos; });
}

bool is_prime(uint32_t value) {
    if (value < 4) return value >= 2;
    if (value % 2 == 0) return false;
    for (uint64_t divisor = 3; divisor * divisor <= value; divisor += 2)
        if (value % divisor == 0) return false;
    return true;
}

}  // namespace millrace
