// A configuration that uses most of what there is, and a resolver without a network: shared by the tests of this
// folder.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "control/config/load.h"
#include "control/config/resolver.h"

namespace millrace::control::test {

inline constexpr std::string_view sample_text = R"(schema = 1
[dataplane]
cores = [0, 1]
[control]
[[interface]]
name = "front"
driver = "af_xdp"
device = "eth1"
addresses = ["198.18.0.1/24", "2001:db8::1/64"]
[[interface]]
name = "rear"
driver = "pci"
device = "0000:3b:00.0"
addresses = ["198.18.1.1/24"]
[[route]]
destination = "0.0.0.0/0"
gateway = "198.18.0.254"
[[listener]]
name = "ticker"
address = "198.18.0.1"
port = 80
[[listener.route]]
path = "/stream"
backend = "quotes"
[[listener]]
name = "raw"
address = "*"
port = 81
mode = "tcp"
backend = "rest"
[[backend]]
name = "quotes"
balance = "maglev"
sources = [{ address = "198.18.1.1" }]
[backend.health]
type = "http"
[[backend.server]]
name = "a"
address = "198.18.1.10:8080"
[[backend.server]]
name = "b"
address = "quotes.example.com:8080"
[[backend]]
name = "rest"
[[backend.server]]
name = "a"
address = "[2001:db8::10]:8080"
)";

class FakeResolver final : public Resolver {
  public:
    std::map<std::string, std::vector<std::string>> names = {
        {"quotes.example.com", {"198.18.1.12", "198.18.1.11", "198.18.1.12"}},
        {"mixed.example.com", {"2001:db8:9::1", "198.18.1.13"}},
    };

    std::vector<IpAddress> resolve(const std::string& host, std::string& error) override {
        std::vector<IpAddress> addresses;
        const auto found = names.find(host);
        if (found == names.end()) {
            error = "Name or service not known";
            return addresses;
        }
        for (const std::string& text : found->second) addresses.push_back(*parse_ip_address(text));
        return addresses;
    }
};

/// Loads `text` on a machine with two cores.
inline LoadResult load(std::string_view text, bool check_only = false) {
    FakeResolver resolver;
    return load_config_text(text, "f.toml", resolver, {.core_count = 2, .check_only = check_only});
}

/// All diagnostics, one per line.
inline std::string diagnostics_of(const LoadResult& result) {
    std::string text;
    for (const Diagnostic& diagnostic : result.diagnostics) text += to_string(diagnostic) + "\n";
    return text;
}

/// `text` with the first `from` replaced; empty when there is none.
inline std::string edited(std::string_view text, std::string_view from, std::string_view to) {
    const size_t at = text.find(from);
    if (at == text.npos) return "";
    return std::string(text.substr(0, at)).append(to).append(text.substr(at + from.size()));
}

}  // namespace millrace::control::test
