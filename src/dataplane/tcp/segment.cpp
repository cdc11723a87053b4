#include "dataplane/tcp/segment.h"

namespace millrace::tcp {

wire::OutboundSegment reply_to(const wire::TcpSegment& inbound, uint16_t local_id) {
    wire::OutboundSegment reply;
    reply.local_id = local_id;
    reply.header.source = inbound.destination;
    reply.header.destination = inbound.source;
    reply.header.source_port = inbound.destination_port;
    reply.header.destination_port = inbound.source_port;
    return reply;
}

void fill_syn_options(const Context& ctx, wire::TcpSegment& header, const IpAddress& peer, const SynOffer& offer,
                      uint32_t ts_value, uint32_t ts_echo) {
    header.window = syn_window(ctx.options);
    header.options.has_mss = true;
    header.options.mss = local_mss(ctx.options, peer);
    header.options.has_window_scale = offer.window_scale;
    header.options.window_scale = ctx.options.window_scale;
    header.options.has_timestamps = offer.timestamps;
    header.options.sack_permitted = offer.sack;
    header.options.ts_value = ts_value;
    header.options.ts_echo = ts_echo;
}

}  // namespace millrace::tcp
