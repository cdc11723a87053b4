#include "tests/tools/segment_script/settings.h"

#include <charconv>
#include <functional>
#include <map>

namespace millrace::script {
namespace {

template <typename Number>
bool read_number(std::string_view text, Number& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc() && end == text.data() + text.size();
}

bool set_option(tcp::Options& options, std::string_view name, std::string_view value) {
    const auto set = [&](auto& field) { return read_number(value, field); };
    if (name == "timestamps") {
        options.timestamps = value == "1";
        return value == "1" || value == "0";
    }
    if (name == "sack") {
        options.sack = value == "1";
        return value == "1" || value == "0";
    }
    if (name == "syn_cookies") {
        options.syn_cookies = value == "always" ? SynCookies::always : value == "on" ? SynCookies::on : SynCookies::off;
        return value == "always" || value == "on" || value == "off";
    }
    if (name == "congestion_control") {
        using tcp::CongestionControl;
        options.congestion_control = value == "cubic" ? CongestionControl::cubic : CongestionControl::newreno;
        return value == "cubic" || value == "newreno";
    }
    if (name == "ecn") {
        options.ecn = value == "1";
        return value == "1" || value == "0";
    }
    if (name == "restart_after_idle") {
        options.restart_after_idle = value == "1";
        return value == "1" || value == "0";
    }
    if (name == "rto_initial_us") return set(options.rto_initial_us);
    if (name == "rto_min_us") return set(options.rto_min_us);
    if (name == "rto_max_us") return set(options.rto_max_us);
    if (name == "syn_retries") return set(options.syn_retries);
    if (name == "syn_ack_retries") return set(options.syn_ack_retries);
    if (name == "retries_max") return set(options.retries_max);
    if (name == "window_scale") return set(options.window_scale);
    if (name == "mss_v4") return set(options.mss_v4);
    if (name == "mss_v6") return set(options.mss_v6);
    if (name == "initial_window_segments") return set(options.initial_window_segments);
    if (name == "syn_window_bytes") return set(options.syn_window_bytes);
    if (name == "receive_window_bytes") return set(options.receive_window_bytes);
    if (name == "reassembly_chunks_max") return set(options.reassembly_chunks_max);
    if (name == "path_mtu_min") return set(options.path_mtu_min);
    if (name == "time_wait_ms") return set(options.time_wait_ms);
    if (name == "ack_delay_ms") return set(options.ack_delay_ms);
    if (name == "challenge_interval_ms") return set(options.challenge_interval_ms);
    if (name == "challenge_acks_per_second") return set(options.challenge_acks_per_second);
    return false;
}

bool set_address(IpAddress& out, std::string_view text) {
    const auto address = parse_ip_address(text.substr(0, text.find('/')));
    if (address) out = *address;
    return address.has_value();
}

bool set_family(HostSettings& host, std::string_view family) {
    if (family == "ipv6") {
        host.local = *parse_ip_address("fd3d:fa7b:d17d::1");
        host.remote = *parse_ip_address("2001:db8::1");
        return true;
    }
    host.local = IpAddress::v4(192, 168, 0, 1);
    host.remote = IpAddress::v4(192, 0, 2, 1);
    return family == "ipv4" || family == "ipv4-mapped-ipv6";
}

bool set_mtu(tcp::Options& options, std::string_view text) {
    uint16_t mtu = 0;
    if (!read_number(text, mtu) || mtu < 1280) return false;
    options.mss_v4 = static_cast<uint16_t>(mtu - 40);
    options.mss_v6 = static_cast<uint16_t>(mtu - 60);
    return true;
}

}  // namespace

Settings::Settings() {
    set_family(host, "ipv4");
}

bool Settings::apply(const Setting& setting, std::string& reason) {
    using Setter = std::function<bool(Settings&, const std::string&)>;
    static const std::map<std::string, Setter> setters = {
        {"ip_version", [](Settings& s, const std::string& v) { return set_family(s.host, v); }},
        {"tolerance_usecs", [](Settings& s, const std::string& v) { return read_number(v, s.tolerance_us); }},
        {"tolerance_percent", [](Settings& s, const std::string& v) { return read_number(v, s.tolerance_percent); }},
        {"tcp_ts_tick_usecs", [](Settings& s, const std::string& v) { return read_number(v, s.ts_tick_us); }},
        {"strict_segments", [](Settings& s, const std::string&) { return s.strict_segments = true; }},
        {"bind_port", [](Settings& s, const std::string& v) { return read_number(v, s.bind_port); }},
        {"connect_port", [](Settings& s, const std::string& v) { return read_number(v, s.connect_port); }},
        {"local_ip", [](Settings& s, const std::string& v) { return set_address(s.host.local, v); }},
        {"remote_ip", [](Settings& s, const std::string& v) { return set_address(s.host.remote, v); }},
        {"mtu", [](Settings& s, const std::string& v) { return set_mtu(s.host.tcp, v); }},
        {"mss", [](Settings& s, const std::string& v) { return set_option(s.host.tcp, "mss_v4", v); }},
        {"local_isn", [](Settings& s, const std::string& v) { return read_number(v, s.local_isn.emplace()); }},
        {"stack",
         [](Settings& s, const std::string& v) {
             const size_t middle = v.find('=');
             return middle != v.npos && set_option(s.host.tcp, v.substr(0, middle), v.substr(middle + 1));
         }},
    };
    for (const char* meaningless : {"gateway_ip", "netmask_ip", "speed", "verbose", "debug", "send_omit_free"})
        if (setting.name == meaningless) return true;
    if (setting.name == "init_scripts") {
        ignored.push_back({setting.line, "--init_scripts is not run", false});
        return true;
    }
    const auto setter = setters.find(setting.name);
    reason = setter == setters.end() ? "the option --" + setting.name + " is not supported"
                                     : "--" + setting.name + " can't be '" + setting.value + "'";
    return setter != setters.end() && setter->second(*this, setting.value);
}

}  // namespace millrace::script
