#include "dataplane/tcp/receive_window.h"

#include <algorithm>

#include "dataplane/base/fault.h"

namespace millrace::tcp {

Seq receive_window_edge(const Options& options, const EndpointHot& hot, uint32_t receive_space) {
    const uint32_t limit = std::min(options.receive_window_bytes, 65535u << hot.receive_scale());
    const uint32_t space = std::min(receive_space, limit);
    if (fault(Fault::tcp_window_shrinks)) return hot.rcv_nxt + space;
    const uint32_t promised = receive_window(hot);
    const uint32_t step =
        fault(Fault::tcp_silly_window) ? 1 : std::min<uint32_t>(hot.mss, options.receive_window_bytes / 2);
    return space >= promised + step ? hot.rcv_nxt + space : hot.rcv_adv;
}

bool receive_window_update_due(const Options& options, const EndpointHot& hot, Seq edge) {
    if (edge <= hot.rcv_adv) return false;
    const uint32_t gain = edge - hot.rcv_adv;
    const uint32_t step = std::min<uint32_t>(2u * hot.mss, options.receive_window_bytes / 2);
    return gain >= step && receive_window(hot) <= (edge - hot.rcv_nxt) / 2;
}

}  // namespace millrace::tcp
