#include "control/api/connections.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "control/api/words.h"
#include "control/servers.h"

namespace millrace::control::api {

namespace {

constexpr const char* dataplane_silent = "the dataplane does not answer; see: millracectl status";

/// Where a listing goes on: the part (a server slot, when there is a filter by name), its worker, the worker's cursor.
struct Position {
    uint32_t part = 0;
    uint32_t worker = 0;
    uint64_t cursor = 0;

    std::string text() const {
        char buffer[64];
        std::snprintf(buffer, sizeof buffer, "%x.%x.%llx", part, worker, static_cast<unsigned long long>(cursor));
        return buffer;
    }
    static bool parse(const std::string& text, Position& out) {
        unsigned long long cursor = 0;
        int end = 0;
        if (text.size() > 40 ||
            std::sscanf(text.c_str(), "%8x.%8x.%16llx%n", &out.part, &out.worker, &cursor, &end) != 3)
            return false;
        out.cursor = cursor;
        return static_cast<size_t>(end) == text.size();
    }
};

struct Filter {
    uint16_t listener_slot = no_slot;
    std::vector<uint16_t> server_slots;  ///< {no_slot}: any
    uint32_t workers = 0;
};

QueryOutcome make_filter(Controller& controller, const ConnectionQuery& query, Filter& filter, std::string& error) {
    const auto outcome = controller.call([&](Controller& self) {
        const SnapshotView* snapshot = self.publisher().snapshot();
        filter.workers = self.link().worker_count();
        if (!self.link().alive() || snapshot == nullptr) return QueryOutcome::unavailable;
        if (!query.listener.empty())
            for (const ListenerRecord& listener : snapshot->listeners())
                if (snapshot->text(listener.name) == query.listener) filter.listener_slot = listener.slot;
        for (const ServerView& server : servers_of(*snapshot))
            if (!query.server.empty() && server.backend + '/' + server.name == query.server)
                filter.server_slots.push_back(server.slot);
        return QueryOutcome::ok;
    });
    if (!outcome || *outcome == QueryOutcome::unavailable) {
        error = "the dataplane is not running";
        return QueryOutcome::unavailable;
    }
    if (!query.listener.empty() && filter.listener_slot == no_slot) {
        error = "no listener named " + query.listener;
        return QueryOutcome::not_found;
    }
    if (!query.server.empty() && filter.server_slots.empty()) {
        error = "no server named " + query.server;
        return QueryOutcome::not_found;
    }
    if (query.server.empty()) filter.server_slots.push_back(no_slot);
    return QueryOutcome::ok;
}

Json endpoint_or_null(const IpAddress& address, uint16_t port) {
    return address.is_unspecified() ? Json(nullptr) : Json(endpoint_text(address, port));
}

Json name_or_null(const std::string& name) {
    return name.empty() ? Json(nullptr) : Json(name);
}

Json connection_json(const ConnectionRecord& record, const Names& names, uint32_t worker) {
    char id[17];
    std::snprintf(id, sizeof id, "%016llx", static_cast<unsigned long long>(record.connection_id));
    return {{"connection_id", id},
            {"worker", worker},
            {"shard", record.shard},
            {"state", word(record.state)},
            {"listener", name_or_null(names.listener(record.listener_slot))},
            {"client", endpoint_or_null(record.client, record.client_port)},
            {"local", endpoint_or_null(record.listener_address, record.listener_port)},
            {"backend", name_or_null(names.backend_of_server(record.server_slot))},
            {"server", name_or_null(names.server(record.server_slot))},
            {"source", endpoint_or_null(record.source, record.source_port)},
            {"server_address", endpoint_or_null(record.server, record.server_port)},
            {"age_ms", record.age_ms},
            {"idle_ms", record.idle_ms},
            {"bytes_up", record.bytes_up},
            {"bytes_down", record.bytes_down},
            {"client_rtt_us", record.client_rtt_us},
            {"server_rtt_us", record.server_rtt_us}};
}

Json or_null(uint32_t value, bool known) {
    return known ? Json(value) : Json(nullptr);
}

Json tcp_json(const TcpInfo& info) {
    const auto has = [&](TcpInfoFlag flag) { return (info.flags & flag) != 0; };
    const bool measured = info.srtt_us != 0, running = info.timer != TcpTimer::none;
    return {{"state", word(info.state)},
            {"mss_bytes", info.mss},
            {"handshake_mss_bytes", info.mss_of_handshake},
            {"pmtu_bytes", info.pmtu},
            {"timestamps", has(tcp_info_timestamps)},
            {"sack", has(tcp_info_sack)},
            {"ecn", has(tcp_info_ecn)},
            {"window_scaling", has(tcp_info_window_scaling)},
            {"send_window_scale", info.send_scale},
            {"receive_window_scale", info.receive_scale},
            {"srtt_us", or_null(info.srtt_us, measured)},
            {"rttvar_us", or_null(info.rttvar_us, measured)},
            {"min_rtt_us", or_null(info.min_rtt_us, measured)},
            {"rto_us", info.rto_us},
            {"cwnd_bytes", info.cwnd},
            {"ssthresh_bytes", or_null(info.ssthresh, info.ssthresh != TcpInfo::unlimited)},
            {"send_window_bytes", info.send_window},
            {"receive_window_bytes", info.receive_window},
            {"in_flight_bytes", info.in_flight},
            {"unsent_bytes", info.unsent},
            {"sacked_bytes", info.sacked},
            {"lost_bytes", info.lost},
            {"retransmitted_bytes", info.retransmitted},
            {"out_of_order_bytes", info.out_of_order},
            {"timer", running ? Json(word(info.timer)) : Json(nullptr)},
            {"timer_ms", or_null(info.timer_ms, running)},
            {"backoff", info.backoff},
            {"recovery", has(tcp_info_fast_recovery)      ? Json("fast")
                         : has(tcp_info_timeout_recovery) ? Json("timeout")
                                                          : Json(nullptr)},
            {"fin_queued", has(tcp_info_fin_queued)},
            {"fin_received", has(tcp_info_fin_received)}};
}

template <typename Page, typename Record>
bool read_page(const std::vector<std::byte>& bytes, Page& page, std::vector<Record>& records) {
    if (bytes.size() < sizeof page) return false;
    std::memcpy(&page, bytes.data(), sizeof page);
    if (page.count > (bytes.size() - sizeof page) / sizeof(Record)) return false;
    records.resize(page.count);
    if (page.count != 0) std::memcpy(records.data(), bytes.data() + sizeof page, page.count * sizeof(Record));
    return true;
}

}  // namespace

QueryOutcome list_connections(Controller& controller, const ConnectionQuery& query, Json& result, std::string& error) {
    Filter filter;
    if (const QueryOutcome outcome = make_filter(controller, query, filter, error); outcome != QueryOutcome::ok)
        return outcome;
    Position at;
    if (!query.cursor.empty() && !Position::parse(query.cursor, at)) {
        error = "\"cursor\" must be the next_cursor of the page before";
        return QueryOutcome::bad_request;
    }
    const auto names = controller.names();
    Json list = Json::array();
    // A mad worker could answer empty pages for ever.
    for (uint32_t pages = 0; pages < 10'000 && at.part < filter.server_slots.size() && list.size() < query.limit;
         ++pages) {
        if (at.worker >= filter.workers) {
            at = {at.part + 1, 0, 0};
            continue;
        }
        const auto limit = std::min<size_t>(query.limit - list.size(), connections_page_max);
        const ListConnections request{at.cursor, static_cast<uint16_t>(limit), filter.listener_slot,
                                      filter.server_slots[at.part], 0};
        const Reply reply =
            controller.ask(at.worker, MessageType::list_connections, std::as_bytes(std::span(&request, 1)));
        ConnectionsPage page;
        std::vector<ConnectionRecord> records;
        if (!reply || !read_page(*reply, page, records)) {
            error = dataplane_silent;
            return QueryOutcome::unavailable;
        }
        for (const ConnectionRecord& record : records) list.push_back(connection_json(record, *names, at.worker));
        at.cursor = page.next_cursor;
        if (at.cursor == 0) ++at.worker;
    }
    const bool more = at.part + 1 < filter.server_slots.size() ||
                      (at.part < filter.server_slots.size() && at.worker < filter.workers);
    result = {{"connections", std::move(list)}, {"next_cursor", more ? Json(at.text()) : Json(nullptr)}};
    return QueryOutcome::ok;
}

QueryOutcome show_tcp(Controller& controller, uint64_t id, Json& result, std::string& error) {
    const auto workers = controller.call(
        [](Controller& self) { return self.link().alive() ? self.link().worker_count() : uint32_t{0}; });
    if (!workers || *workers == 0) {
        error = "the dataplane is not running";
        return QueryOutcome::unavailable;
    }
    for (uint32_t worker = 0; worker < *workers; ++worker) {
        ShowTcp request{0, id};
        // A mad worker could go on for ever.
        for (uint32_t pages = 0; pages < 100'000; ++pages) {
            const Reply reply = controller.ask(worker, MessageType::show_tcp, std::as_bytes(std::span(&request, 1)));
            TcpShown shown;
            if (!reply || reply->size() < sizeof shown) {
                error = dataplane_silent;
                return QueryOutcome::unavailable;
            }
            std::memcpy(&shown, reply->data(), sizeof shown);
            if (shown.found != 0) {
                const unsigned sides = static_cast<unsigned>(shown.sides);
                result = connection_json(shown.connection, *controller.names(), worker);
                result["tcp"] = {{"client", (sides & 1) != 0 ? tcp_json(shown.client) : Json(nullptr)},
                                 {"server", (sides & 2) != 0 ? tcp_json(shown.server) : Json(nullptr)}};
                return QueryOutcome::ok;
            }
            request.cursor = shown.next_cursor;
            if (request.cursor == 0) break;
        }
    }
    error = "no such connection (it may have ended); see: millracectl show connections";
    return QueryOutcome::not_found;
}

QueryOutcome list_neighbours(Controller& controller, Json& result, std::string& error) {
    struct State {
        uint32_t workers = 0;
        std::vector<std::string> interfaces;
    };
    const auto state = controller.call([](Controller& self) {
        State now;
        if (self.link().alive()) now.workers = self.link().worker_count();
        if (const SnapshotView* snapshot = self.publisher().snapshot())
            for (const InterfaceRecord& interface : snapshot->interfaces())
                now.interfaces.emplace_back(snapshot->text(interface.name));
        return now;
    });
    if (!state || state->workers == 0) {
        error = "the dataplane is not running";
        return QueryOutcome::unavailable;
    }
    std::map<std::pair<uint16_t, IpAddress>, NeighbourRecord> known;
    uint64_t omitted = 0;
    for (uint32_t worker = 0; worker < state->workers; ++worker) {
        const Reply reply = controller.ask(worker, MessageType::list_neighbours, {});
        NeighboursPage page;
        std::vector<NeighbourRecord> records;
        if (!reply || !read_page(*reply, page, records)) {
            error = dataplane_silent;
            return QueryOutcome::unavailable;
        }
        omitted += page.omitted;
        for (const NeighbourRecord& record : records) {
            const auto [entry, added] = known.try_emplace({record.interface, record.address}, record);
            if (!added && record.age_ms < entry->second.age_ms) entry->second = record;
        }
    }
    Json list = Json::array();
    for (const auto& [key, record] : known) {
        const bool named = record.interface < state->interfaces.size();
        const bool resolved = record.state != NeighbourState::incomplete;
        list.push_back({{"address", to_string(record.address)},
                        {"mac", resolved ? Json(to_string(record.mac)) : Json(nullptr)},
                        {"interface", named ? Json(state->interfaces[record.interface]) : Json(nullptr)},
                        {"state", word(record.state)},
                        {"age_ms", record.age_ms}});
    }
    result = {{"neighbours", std::move(list)}, {"omitted", omitted}};
    return QueryOutcome::ok;
}

}  // namespace millrace::control::api
