// What an operator asks for: the state of a relay's two connections, pings, copies of frames. The relay is found
// by its id, which names its shard but not its record: a search over the shard, a page at a time, so that no request
// holds up the worker.

#include "dataplane/relay/engine.h"
#include "dataplane/tcp/describe.h"

namespace millrace::relay {
namespace {

constexpr uint32_t search_max = 1024;  // records looked at for one answer

}  // namespace

void Engine::on_show_tcp(uint64_t request_id, const ShowTcp& request) {
    TcpShown shown{};
    const uint64_t number = (request.connection_id - connection_id_base_) % shard_max;
    for (Shard* shard : shards_) {
        if (shard->number != number) continue;
        const uint64_t end = std::min<uint64_t>(request.cursor + search_max, shard->relays.high_water());
        uint64_t at = request.cursor;
        for (; at < end && shown.found == 0; ++at) {
            const auto index = static_cast<uint32_t>(at);
            if (!shard->relays.is_live(index)) continue;
            const Ref r = ref(*shard, index);
            if (r.relay.connection_id != request.connection_id || r.relay.phase == Phase::none ||
                r.relay.phase == Phase::stream)
                continue;
            shown.found = 1;
            shown.connection = describe(r);
            if (r.relay.has(flag_client_open))
                shown.client = tcp::describe(context(*shard), r.relay.endpoint(Side::client));
            if (r.relay.has(flag_server_open))
                shown.server = tcp::describe(context(*shard), r.relay.endpoint(Side::server));
            shown.sides = static_cast<TcpSides>((r.relay.has(flag_client_open) ? 1 : 0) |
                                                (r.relay.has(flag_server_open) ? 2 : 0));
        }
        if (shown.found == 0 && at < shard->relays.high_water() && at == end) shown.next_cursor = at;
    }
    control_.reply(MessageType::tcp_shown, request_id, std::as_bytes(std::span(&shown, 1)));
}

void Engine::on_ping(uint64_t request_id, const Ping& request) {
    if (pinger_.start(request_id, request, random(), now_)) return;
    Pinged busy{};
    busy.end = PingEnd::busy;
    busy.interface = no_slot;
    control_.reply(MessageType::pinged, request_id, std::as_bytes(std::span(&busy, 1)));
}

void Engine::on_capture_start(uint64_t request_id, const CaptureStart& request) {
    const CaptureStarted answer{.started = static_cast<uint8_t>(capture_.start(request, now_)), .reserved = {}};
    control_.reply(MessageType::capture_started, request_id, std::as_bytes(std::span(&answer, 1)));
}

void Engine::on_capture_stop(uint64_t request_id, const CaptureStop& request) {
    const CaptureStopped answer = capture_.stop(request.id);
    control_.reply(MessageType::capture_stopped, request_id, std::as_bytes(std::span(&answer, 1)));
}

void Engine::poll_pings() {
    pinger_.poll(ip_, now_);
    while (const std::optional<net::Pinger::Finished> finished = pinger_.take_finished())
        control_.reply(MessageType::pinged, finished->request_id, std::as_bytes(std::span(&finished->result, 1)));
}

}  // namespace millrace::relay
