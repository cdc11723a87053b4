// ICMP errors about segments that we sent: found by the flow that they quote, judged by tcp/path_mtu.h.

#include "dataplane/relay/engine.h"
#include "dataplane/tcp/path_mtu.h"

namespace millrace::relay {

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
    const tcp::Events events = tcp::on_icmp_error(context(shard), r.relay.endpoint(side), tcp::icmp_report(error));
    on_events(r, side, events);
    mark_ready(r);
}

}  // namespace millrace::relay
