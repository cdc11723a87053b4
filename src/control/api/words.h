// The words that the API uses for the enumerations of the shared files and of the configuration.
#pragma once

#include <millrace/commands.h>
#include <millrace/snapshot.h>

#include "control/config/model.h"

namespace millrace::control::api {

const char* word(AdminState value);
const char* word(tls::Version value);
const char* word(tls::ClientCertificates value);
const char* word(ProbeState value);
const char* word(RelayState value);
const char* word(NeighbourState value);
const char* word(PingEnd value);
const char* word(TcpState value);
const char* word(TcpTimer value);
const char* word(ListenerMode value);
const char* word(SynCookies value);
const char* word(CongestionControl value);
const char* word(Algorithm value);
const char* word(WhenAllDown value);
const char* word(Driver value);
const char* word(ForwardedPolicy value);
const char* word(RequestIdPolicy value);
const char* word(HealthType value);
const char* word(Role value);
const char* word(LogLevel value);

}  // namespace millrace::control::api
