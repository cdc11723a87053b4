// The words of <millrace/events.h> for logs, the API and the CLI.
#include <millrace/events.h>

namespace millrace {

const char* name(CloseReason reason) {
    switch (reason) {
        case CloseReason::none:
            return "none";
        case CloseReason::fin:
            return "fin";
        case CloseReason::reset:
            return "reset";
        case CloseReason::idle_timeout:
            return "idle_timeout";
        case CloseReason::head_timeout:
            return "head_timeout";
        case CloseReason::connect_timeout:
            return "connect_timeout";
        case CloseReason::connect_refused:
            return "connect_refused";
        case CloseReason::upgrade_timeout:
            return "upgrade_timeout";
        case CloseReason::bad_request:
            return "bad_request";
        case CloseReason::bad_response:
            return "bad_response";
        case CloseReason::no_server:
            return "no_server";
        case CloseReason::no_source_port:
            return "no_source_port";
        case CloseReason::no_memory:
            return "no_memory";
        case CloseReason::retransmission_timeout:
            return "retransmission_timeout";
        case CloseReason::error_response:
            return "error_response";
        case CloseReason::shutdown:
            return "shutdown";
        case CloseReason::unreachable:
            return "unreachable";
        case CloseReason::keepalive_timeout:
            return "keepalive_timeout";
        case CloseReason::body_timeout:
            return "body_timeout";
        case CloseReason::tls_handshake:
            return "tls_handshake";
        case CloseReason::tls_timeout:
            return "tls_timeout";
        case CloseReason::tls_refused:
            return "tls_refused";
        case CloseReason::tls_bad_record:
            return "tls_bad_record";
        case CloseReason::tls_alert:
            return "tls_alert";
        case CloseReason::tls_truncated:
            return "tls_truncated";
        case CloseReason::count:
            break;
    }
    return "unknown";  // a newer or mad writer
}

const char* name(Closer closer) {
    switch (closer) {
        case Closer::none:
            return "none";
        case Closer::client:
            return "client";
        case Closer::server:
            return "server";
        case Closer::balancer:
            return "balancer";
    }
    return "unknown";
}

}  // namespace millrace
