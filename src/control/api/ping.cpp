#include "control/api/ping.h"

#include <cstring>

#include "control/api/words.h"

namespace millrace::control::api {

namespace {

constexpr uint32_t timeout_max_ms = 5'000;
constexpr int answer_slack_ms = 1'000;

/// A number of the body; false when it is there and is none within the bounds.
bool read_number(const Json& body, const char* name, uint32_t min, uint32_t max, uint32_t& value, std::string& error) {
    const auto member = body.find(name);
    if (member == body.end()) return true;
    if (member->is_number_unsigned() && member->get<uint64_t>() >= min && member->get<uint64_t>() <= max) {
        value = member->get<uint32_t>();
        return true;
    }
    error = '"' + std::string(name) + "\" must be a number from " + std::to_string(min) + " to " + std::to_string(max);
    return false;
}

bool read_request(const std::string& text, Ping& request, std::string& error) {
    const Json body = Json::parse(text, nullptr, false);
    uint32_t size = 56, timeout_ms = 1'000;
    const auto address = body.is_object() && body.contains("address") && body["address"].is_string()
                             ? parse_ip_address(body["address"].get<std::string>())
                             : std::nullopt;
    if (!address) {
        error = "the body must be {\"address\": \"an IPv4 or IPv6 address\", ...}";
        return false;
    }
    if (!read_number(body, "size", ping_payload_min, ping_payload_max, size, error) ||
        !read_number(body, "timeout_ms", 1, timeout_max_ms, timeout_ms, error))
        return false;
    request.address = *address;
    request.payload_bytes = static_cast<uint16_t>(size);
    request.timeout_ms = timeout_ms;
    return true;
}

Json address_or_null(const IpAddress& address) {
    return address.is_unspecified() ? Json(nullptr) : Json(to_string(address));
}

}  // namespace

QueryOutcome ping(Controller& controller, const std::string& body, Json& result, std::string& error) {
    Ping request{};
    if (!read_request(body, request, error)) return QueryOutcome::bad_request;
    const auto interfaces = controller.call([](Controller& self) -> std::optional<std::vector<std::string>> {
        const SnapshotView* snapshot = self.publisher().snapshot();
        if (!self.link().alive() || snapshot == nullptr) return std::nullopt;
        std::vector<std::string> names;
        for (const InterfaceRecord& interface : snapshot->interfaces())
            names.emplace_back(snapshot->text(interface.name));
        return names;
    });
    if (!interfaces || !*interfaces) {
        error = "the dataplane is not running";
        return QueryOutcome::unavailable;
    }
    const Reply reply = controller.ask(0, MessageType::ping, std::as_bytes(std::span(&request, 1)),
                                       static_cast<int>(request.timeout_ms) + answer_slack_ms);
    Pinged pinged;
    if (!reply || reply->size() < sizeof pinged) {
        error = "the dataplane does not answer; see: millracectl status";
        return QueryOutcome::unavailable;
    }
    std::memcpy(&pinged, reply->data(), sizeof pinged);
    const bool named = pinged.interface < (*interfaces)->size();
    result = {{"address", to_string(request.address)},
              {"size", request.payload_bytes},
              {"result", word(pinged.end)},
              {"rtt_us", pinged.end == PingEnd::answered ? Json(pinged.rtt_us) : Json(nullptr)},
              {"interface", named ? Json((**interfaces)[pinged.interface]) : Json(nullptr)},
              {"source", address_or_null(pinged.source)},
              {"next_hop", address_or_null(pinged.next_hop)}};
    return QueryOutcome::ok;
}

}  // namespace millrace::control::api
