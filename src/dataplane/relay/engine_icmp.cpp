// ICMP errors about segments that we sent: found by the flow that they quote, judged by tcp/path_mtu.h.

#include "dataplane/relay/engine.h"
#include "dataplane/tcp/path_mtu.h"

namespace millrace::relay {
namespace {

/// RFC 1122 §3.2.2.1 and §4.2.3.9, RFC 4443 §3.1, RFC 5461 §2.
tcp::IcmpReport::Kind kind_of(const wire::IcmpError& error) {
    using Kind = tcp::IcmpReport::Kind;
    if (error.kind == wire::IcmpErrorKind::packet_too_big) return Kind::too_big;
    if (error.kind != wire::IcmpErrorKind::unreachable) return Kind::soft;
    constexpr uint8_t protocol_v4 = 2, port_v4 = 3, prohibited_v6 = 1, port_v6 = 4;
    const bool hard = error.embedded_source.is_v4() ? error.code == protocol_v4 || error.code == port_v4
                                                    : error.code == prohibited_v6 || error.code == port_v6;
    return hard ? Kind::hard : Kind::soft;
}

}  // namespace

void Engine::on_icmp_error(Shard& shard, const wire::IcmpError& error, TimeUs now) {
    now_ = now;
    const uint16_t local_id = config_->known_local_id(error.embedded_source);
    const uint32_t hash = shard.flow_hash(error.embedded_destination, error.embedded_source,
                                          error.embedded_destination_port, error.embedded_source_port);
    const std::optional<uint32_t> value =
        find(shard, hash,
             {error.embedded_destination, error.embedded_destination_port, error.embedded_source_port, local_id});
    if (local_id == no_slot || error.destination != error.embedded_source || !value) {
        ++stats_.worker.tcp.icmp_ignored;
        return;
    }
    const Ref r = ref(shard, FlowValue::index(*value));
    const Side side = FlowValue::side(*value);
    const tcp::Events events =
        tcp::on_icmp_error(context(shard), r.relay.endpoint(side),
                           {.kind = kind_of(error), .mtu = error.mtu, .seq = tcp::Seq{error.embedded_seq}});
    on_events(r, side, events);
    mark_ready(r);
}

}  // namespace millrace::relay
