#include "control/api/event_feed.h"

#include <algorithm>

#include "control/servers.h"

namespace millrace::control::api {

namespace {

Json text_or_null(const std::string& text) {
    return text.empty() ? Json(nullptr) : Json(text);
}

Json event_json(const RelayEvent& event, uint32_t worker, const Names& names) {
    char id[17];
    std::snprintf(id, sizeof id, "%016llx", static_cast<unsigned long long>(event.connection_id));
    Json json{{"kind", event.kind == RelayEventKind::opened ? "opened" : "closed"},
              {"unix_time_us", event.unix_time_us},
              {"worker", worker},
              {"sequence", event.sequence},
              {"connection_id", id},
              {"listener", text_or_null(names.listener(event.listener_slot))},
              {"client", endpoint_text(event.client, event.client_port)},
              {"backend", text_or_null(names.backend_of_server(event.server_slot))},
              {"server", text_or_null(names.server(event.server_slot))},
              {"server_address",
               event.server.is_unspecified() ? Json(nullptr) : Json(endpoint_text(event.server, event.server_port))},
              {"http_status", event.http_status}};
    if (event.kind == RelayEventKind::opened) return json;
    json["duration_us"] = event.duration_us;
    json["bytes_up"] = event.bytes_up;
    json["bytes_down"] = event.bytes_down;
    json["closed_by"] = name(event.closer);
    json["reason"] = name(event.reason);
    return json;
}

}  // namespace

EventFeed::EventFeed(Controller& controller, uint32_t replay) : controller_(controller) {
    join(controller_.events(), replay != 0 ? EventReader::From::oldest : EventReader::From::newest);
    if (replay == 0) return;
    struct Found {
        RelayEvent event;
        uint32_t worker;
    };
    std::vector<Found> found;
    for (uint32_t worker = 0; worker < readers_.size(); ++worker) {
        RelayEvent event;
        for (uint32_t n = 0; n < event_slot_count && readers_[worker].next(event); ++n)
            found.push_back({event, worker});
        missed_reported_[worker] = readers_[worker].missed();  // overwritten while we read: not asked for
    }
    std::stable_sort(found.begin(), found.end(),
                     [](const Found& a, const Found& b) { return a.event.unix_time_us < b.event.unix_time_us; });
    const size_t first = found.size() > replay ? found.size() - replay : 0;
    const auto names = controller_.names();
    for (size_t i = first; i < found.size(); ++i)
        replay_.push_back(event_json(found[i].event, found[i].worker, *names));
}

void EventFeed::join(std::shared_ptr<const EventsMapping> events, EventReader::From from) {
    events_ = std::move(events);
    readers_.clear();
    for (uint32_t worker = 0; events_ != nullptr && worker < events_->worker_count; ++worker)
        readers_.emplace_back(events_->worker(worker), from);
    missed_reported_.assign(readers_.size(), 0);
}

void EventFeed::next(std::vector<Json>& out, size_t max) {
    for (; !replay_.empty() && out.size() < max; replay_.pop_front()) out.push_back(std::move(replay_.front()));
    const auto names = controller_.names();
    for (uint32_t worker = 0; worker < readers_.size(); ++worker) {
        EventReader& reader = readers_[worker];
        RelayEvent event;
        while (out.size() < max && reader.next(event)) out.push_back(event_json(event, worker, *names));
        if (reader.missed() == missed_reported_[worker] || out.size() >= max) continue;
        out.push_back({{"kind", "missed"}, {"worker", worker}, {"count", reader.missed() - missed_reported_[worker]}});
        missed_reported_[worker] = reader.missed();
    }
    // A new dataplane's file is taken up only after the old one's last events.
    if (out.size() < max)
        if (auto current = controller_.events(); current != events_)
            join(std::move(current), EventReader::From::oldest);
}

}  // namespace millrace::control::api
