#include "cli/ping.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

namespace millrace::cli {
namespace {

using Clock = std::chrono::steady_clock;

std::string text(const Json& answer, const char* name) {
    const auto member = answer.find(name);
    return member != answer.end() && member->is_string() ? member->get<std::string>() : "-";
}

/// What became of it, for people.
std::string outcome(const Json& answer) {
    const std::string result = text(answer, "result");
    if (result == "timed_out") return "no answer";
    if (result == "no_route") return "no route, or no address of ours on the way there";
    if (result == "no_neighbour") return "the next hop " + text(answer, "next_hop") + " does not answer";
    if (result == "too_long") return "too long for the interface " + text(answer, "interface");
    if (result == "busy") return "not sent: too many pings at a time";
    return result;
}

struct Summary {
    std::vector<uint64_t> rtts_us;
    Json replies = Json::array();
    Json last;

    uint64_t mean_us() const {
        uint64_t sum = 0;
        for (const uint64_t rtt : rtts_us) sum += rtt;
        return rtts_us.empty() ? 0 : sum / rtts_us.size();
    }
};

void print_line(uint32_t number, const Json& answer) {
    if (answer["rtt_us"].is_number_unsigned())
        std::printf("%u: answered in %.3f ms\n", number, static_cast<double>(answer["rtt_us"].get<uint64_t>()) / 1000);
    else
        std::printf("%u: %s\n", number, outcome(answer).c_str());
    std::fflush(stdout);
}

void print_summary(const PingOptions& options, const Summary& summary) {
    const size_t answered = summary.rtts_us.size();
    std::printf("%u sent, %zu answered, %.0f %% lost", options.count, answered,
                100.0 * static_cast<double>(options.count - answered) / options.count);
    if (answered != 0) {
        const auto [least, most] = std::ranges::minmax(summary.rtts_us);
        std::printf("; round trip least %.3f, mean %.3f, most %.3f ms", static_cast<double>(least) / 1000,
                    static_cast<double>(summary.mean_us()) / 1000, static_cast<double>(most) / 1000);
    }
    std::printf("\n");
}

Json as_document(const PingOptions& options, const Summary& summary) {
    const bool any = !summary.rtts_us.empty();
    const auto number = [&](uint64_t value) { return any ? Json(value) : Json(nullptr); };
    return {{"address", options.address},
            {"interface", summary.last["interface"]},
            {"source", summary.last["source"]},
            {"next_hop", summary.last["next_hop"]},
            {"sent", options.count},
            {"answered", summary.rtts_us.size()},
            {"rtt_min_us", number(any ? std::ranges::min(summary.rtts_us) : 0)},
            {"rtt_mean_us", number(summary.mean_us())},
            {"rtt_max_us", number(any ? std::ranges::max(summary.rtts_us) : 0)},
            {"replies", summary.replies}};
}

}  // namespace

void ping(const Client& client, const PingOptions& options, bool as_json) {
    const Json request{{"address", options.address},
                       {"size", options.size},
                       {"timeout_ms", static_cast<uint32_t>(options.timeout_s * 1000)}};
    Summary summary;
    const auto begin = Clock::now();
    for (uint32_t i = 0; i < options.count; ++i) {
        std::this_thread::sleep_until(
            begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.interval_s * i)));
        summary.last = client.post("/v1/ping", request.dump());
        if (i == 0 && !as_json)
            std::printf("%s by interface %s, from %s, next hop %s, %u bytes\n", options.address.c_str(),
                        text(summary.last, "interface").c_str(), text(summary.last, "source").c_str(),
                        text(summary.last, "next_hop").c_str(), options.size);
        if (summary.last["rtt_us"].is_number_unsigned()) summary.rtts_us.push_back(summary.last["rtt_us"]);
        summary.replies.push_back({{"result", summary.last["result"]}, {"rtt_us", summary.last["rtt_us"]}});
        if (!as_json) print_line(i + 1, summary.last);
    }
    if (as_json)
        std::printf("%s\n", as_document(options, summary).dump(2).c_str());
    else
        print_summary(options, summary);
    if (summary.rtts_us.empty()) throw Failure(options.address + ": " + outcome(summary.last));
}

}  // namespace millrace::cli
