// Every key of the configuration. Ranges come from <millrace/config_rules.h> and <millrace/limits.h>, defaults from
// model.h; the order is that of the reference.
#include "control/config/schema.h"

#include <algorithm>
#include <charconv>

#include <millrace/config_rules.h>
#include <millrace/limits.h>

#include "control/config/addresses.h"

namespace millrace::control {

namespace {

constexpr uint64_t microsecond = 1, millisecond = 1000, second = 1'000'000;
constexpr const char* name_rule = "1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit";

bool valid_user(std::string_view text) {
    return !text.empty() && text.size() <= 32 && text.find_first_of(" :/\t") == text.npos && valid_name(text);
}
bool valid_socket_path(std::string_view text) {
    return !text.empty() && text.size() <= 107 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}
bool valid_request_path(std::string_view text) {
    return text.starts_with("/") && text.size() <= path_bytes_max &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f && c != '#'; });
}

// ---- [dataplane] ----------------------------------------------------------------------------------------------------

void read_cores(Reader& reader, const Input& in, Dataplane& dataplane) {
    const toml::array* array = reader.array(in, "an array of core numbers, as [2, 3]");
    if (array == nullptr) return;
    std::vector<uint16_t> cores;
    for (size_t i = 0; i < array->size(); ++i) {
        const Input element{*array->get(i), in.key, in.path + "[" + std::to_string(i) + "]"};
        if (const auto core = reader.integer(element, 0, core_max)) cores.push_back(static_cast<uint16_t>(*core));
    }
    if (array->empty() || array->size() > worker_max) {
        reader.wrong(in, in_quotes(in.key.name) + " names " + std::to_string(array->size()) + " cores; name " +
                             range_text(1, worker_max));
    } else if (cores.size() == array->size()) {
        dataplane.cores = std::move(cores);
    }
}

const TableSchema<Tcp>& tcp_schema() {
    using T = Tcp;
    static const TableSchema<T> schema(
        {"dataplane.tcp", false, false, "How TCP behaves, toward clients and servers alike.", {}},
        {choice_key("congestion_control", &T::congestion_control,
                    {{"cubic", CongestionControl::cubic}, {"newreno", CongestionControl::newreno}},
                    "How the congestion window grows and shrinks: cubic as RFC 9438 says, newreno as RFC 5681."),
         boolean_key("idle_restart", &T::idle_restart,
                     "After a pause the congestion window shrinks by half for each retransmission timeout, down to ten "
                     "segments. false keeps it: for paths of your own on which nothing else competes."),
         duration_key("ack_delay", &T::ack_delay_ms, millisecond, 0, ack_delay_ms_max,
                      "Longest wait of an ACK for data to ride on. \"0s\" acknowledges every segment at once."),
         integer_key("path_mtu_min", &T::path_mtu_min, path_mtu_min_low, path_mtu_min_high,
                     "No ICMP message, which anyone might have forged, makes packets of IPv4 smaller than this. IPv6 "
                     "has its own least size, 1280.")
             .unit("bytes")});
    return schema;
}

const TableSchema<Dataplane>& dataplane_schema() {
    using D = Dataplane;
    static const Key<D> cores{{"cores", "array of integers", range_text(1, worker_max) + " numbers, each 0 to 1023",
                               "[0]", "", "CPU cores that poll, one worker on each. Read at start only."},
                              read_cores};
    static const TableSchema<D> schema(
        {"dataplane",
         false,
         false,
         "The polling process. All but workers take effect when millrace-dataplane starts.",
         {}},
        {cores,
         integer_key(
             "workers", &D::workers, 0, worker_max,
             "How many of the cores poll, counted from the first; the others sleep. 0: all of them. A reload may "
             "change it: live relays go on.")
             .unit("cores"),
         integer_key(
             "shards", &D::shards, 1, shard_max,
             "Parts that connections are divided into, a power of two and at least the number of cores. Workers "
             "own shards, so a larger number lets cores be added later.")
             .unit("shards"),
         integer_key("relays_max", &D::relays_max, 1, relays_max_max,
                     "Relays held at once, over all cores; further clients are refused and counted.")
             .unit("relays"),
         size_key("chunk_memory", &D::chunk_memory_bytes, chunk_bytes_min, chunk_bytes_max_max,
                  "Memory for payload that waits to be sent or acknowledged, over all relays. Each shard has an equal "
                  "part, which must be 4MiB to 512GiB."),
         integer_key("half_open_max", &D::half_open_max, 1, handshakes_max_max,
                     "Connections in their handshake at once, over all cores.")
             .unit("connections"),
         choice_key("syn_cookies", &D::syn_cookies,
                    {{"off", SynCookies::off}, {"on", SynCookies::on}, {"always", SynCookies::always}},
                    "When a client's SYN is answered with a cookie instead of being remembered: on: while there is no "
                    "room for it among the half-open connections; always; off: never, and it is dropped then."),
         integer_key("time_wait_max", &D::time_wait_max, 1, handshakes_max_max,
                     "Closed connections remembered in TIME_WAIT, over all cores; beyond it the oldest goes first.")
             .unit("connections"),
         integer_key("neighbours_max", &D::neighbours_max, neighbours_max_low, neighbours_max_high,
                     "Hosts on our links that each worker can know at once (40 bytes each), rounded up to a power of "
                     "two. Clients that come by way of a router need none. With more, relays ask for their neighbours "
                     "again and again (neighbours_evicted_total).")
             .unit("hosts"),
         duration_key("idle_sleep", &D::idle_sleep_us, microsecond, 0, idle_sleep_us_max,
                      "Sleep of a worker that has long found nothing to do; \"0s\" polls always."),
         size_key("send_queue", &D::send_queue_bytes, send_queue_bytes_min, send_queue_bytes_max,
                  "Payload that waits toward one side of a relay; a slow reader stops its sender beyond it."),
         size_key(
             "send_queue_max", &D::send_queue_max_bytes, send_queue_bytes_min, send_queue_bytes_max,
             "Most payload that waits toward one side or is on its way there. Between send_queue and this, buffers "
             "follow what the paths prove to carry in a round trip."),
         size_key("drain_rate_min", &D::drain_rate_min, drain_rate_min_low, drain_rate_min_high,
                  "While chunk memory is scarce, relays are reset whose peer takes less than this in a second, the "
                  "slowest first."),
         integer_key(
             "crypto_threads", &D::crypto_threads, 0, crypto_threads_max,
             "Threads for the handshakes of TLS, beside the cores that poll where the machine has others. 0: there "
             "can be no TLS.")
             .unit("threads"),
         integer_key(
             "tls_handshakes_max", &D::tls_handshakes_max, 1, tls_handshakes_max_max,
             "Handshakes of TLS that each worker has in progress at once, 40 KiB or so each; of these three "
             "quarters at most with clients, or with servers, and a quarter for health probes. Eight times as many "
             "of each kind wait for their turn, further ones are refused.")
             .unit("handshakes"),
         boolean_key("huge_pages", &D::huge_pages, "Use huge pages for packets and relays; they must be reserved."),
         table_key("tcp", &D::tcp, tcp_schema())});
    return schema;
}

// ---- [control] ------------------------------------------------------------------------------------------------------

std::string parse_mode(std::string_view text, AdminSocket& socket) {
    uint32_t mode = 0;
    if (text.size() < 3 || text.size() > 4 || text.find_first_not_of("01234567") != text.npos ||
        std::from_chars(text.data(), text.data() + text.size(), mode, 8).ec != std::errc{} || mode > 0777)
        return in_quotes(text) + " is no file mode; write three or four octal digits up to \"0777\", as \"0660\"";
    socket.mode = mode;
    return "";
}

const TableSchema<AdminSocket>& admin_socket_schema() {
    using S = AdminSocket;
    static const TableSchema<S> schema(
        {"control.admin_socket",
         true,
         false,
         "A Unix socket of the admin API. Without any, one with these defaults is made.",
         {}},
        {text_key("path", &S::path, valid_socket_path, "1 to 107 visible ASCII characters",
                  "Path of the socket; a relative one counts from control/ in the instance's run directory."),
         choice_key("role", &S::role, {{"viewer", Role::viewer}, {"operator", Role::operator_}, {"admin", Role::admin}},
                    "What its users may do: a viewer reads; an operator also drains, enables, disables and weighs "
                    "servers; an admin also reloads."),
         text_key("group", &S::group, valid_user, "a group name",
                  "Group that owns the socket; empty: that of the user."),
         parsed_key<S>("mode", "string", "octal, up to \"0777\"", "\"0660\"", parse_mode,
                       "File mode of the socket: who may connect.")});
    return schema;
}

const TableSchema<ControlSettings>& control_schema() {
    using C = ControlSettings;
    static const TableSchema<C> schema(
        {"control", false, false, "The control process: user, log and admin sockets.", {}},
        {text_key("user", &C::user, valid_user, "a user name",
                  "User that millrace-control becomes when it was started as root."),
         choice_key("log_level", &C::log_level,
                    {{"error", LogLevel::error},
                     {"warning", LogLevel::warning},
                     {"info", LogLevel::info},
                     {"debug", LogLevel::debug}},
                    "Least severe messages that are logged."),
         tables_key("admin_socket", &C::admin_sockets, admin_socket_schema(), 16)});
    return schema;
}

// ---- [[interface]], [[route]] ---------------------------------------------------------------------------------------

void read_addresses(Reader& reader, const Input& in, Interface& interface) {
    const toml::array* array = reader.array(in, "an array of addresses, as [\"198.18.0.1/24\"]");
    if (array == nullptr) return;
    if (array->empty() || array->size() > local_address_max)
        return reader.wrong(in, "\"addresses\" holds " + std::to_string(array->size()) + " addresses; write " +
                                    range_text(1, local_address_max) + ", as [\"198.18.0.1/24\"]");
    for (size_t i = 0; i < array->size(); ++i) {
        const Input element{*array->get(i), in.key, in.path + "[" + std::to_string(i) + "]"};
        InterfaceAddress& address = interface.addresses.emplace_back();
        reader.text(element, [&](std::string_view text) { return parse_interface_address(text, address); });
    }
}

const TableSchema<Interface>& interface_schema() {
    using I = Interface;
    static const Key<I> addresses{{"addresses", "array of strings", "ADDRESS/LENGTH, IPv4 or IPv6", "", "",
                                   "Our addresses on this interface, each with the length of its network's prefix."},
                                  read_addresses};
    static const TableSchema<I> schema(
        {"interface", true, false, "A network device that the dataplane owns.", {}},
        {text_key("name", &I::name, valid_name, name_rule, "Name in routes, statistics and commands.")
             .required("\"front\""),
         choice_key("driver", &I::driver,
                    {{"af_xdp", Driver::af_xdp},
                     {"af_packet", Driver::af_packet},
                     {"memif", Driver::memif},
                     {"pci", Driver::pci}},
                    "af_xdp and af_packet borrow a kernel interface, memif joins another process, pci takes a whole "
                    "network card.")
             .required("\"af_xdp\""),
         text_key(
             "device", &I::device, [](std::string_view text) { return !text.empty() && text.size() <= 107; },
             "an interface name, a socket path or a PCI address",
             "By driver: the kernel interface (\"eth1\"), the memif socket's path, or the PCI address "
             "(\"0000:3b:00.0\").")
             .required("\"eth1\""),
         Key<I>(addresses).required("[\"198.18.0.1/24\", \"2001:db8::1/64\"]"),
         integer_key("vlan", &I::vlan, 0, vlan_max, "VLAN of every packet; 0: untagged."),
         integer_key("mtu", &I::mtu, mtu_min, mtu_max, "Largest IP packet, in bytes; at least 1280 with IPv6.")
             .unit("bytes"),
         integer_key("queues", &I::queues, 0, worker_max,
                     "Pairs of receive and send queues, at least as many as cores; 0: one per core.")
             .unit("queue pairs"),
         integer_key("rx_descriptors", &I::rx_descriptors, descriptors_min, descriptors_max,
                     "Packets that a receive queue holds, a power of two.")
             .unit("packets"),
         integer_key("tx_descriptors", &I::tx_descriptors, descriptors_min, descriptors_max,
                     "Packets that a send queue holds, a power of two.")
             .unit("packets"),
         boolean_key("take_over", &I::take_over,
                     "Take the device although the kernel's default route uses it: this machine may become "
                     "unreachable."),
         parsed_key<I>(
             "memif_role", "string", "\"client\" or \"server\"", "\"client\"",
             [](std::string_view text, I& interface) {
                 interface.memif_server = text == "server";
                 return text == "server" || text == "client"
                            ? std::string()
                            : "\"memif_role\" is " + in_quotes(text) + "; it must be \"client\" or \"server\"";
             },
             "memif only: the server makes the socket, the client connects to it.")});
    return schema;
}

const TableSchema<StaticRoute>& route_schema() {
    using R = StaticRoute;
    static const TableSchema<R> schema(
        {"route", true, false, "A static route. \"0.0.0.0/0\" and \"::/0\" are the default ones.", {}},
        {parsed_key<R>(
             "destination", "string", "NETWORK/LENGTH", "",
             [](std::string_view text, R& route) { return parse_network(text, route.destination); },
             "Network that is reached by the gateway.")
             .required("\"0.0.0.0/0\""),
         parsed_key<R>(
             "gateway", "string", "an IP address", "",
             [](std::string_view text, R& route) { return parse_host_address(text, route.gateway); },
             "Next hop: an address of a network that an interface is in.")
             .required("\"198.18.0.254\""),
         text_key("interface", &R::interface, valid_name, "name of an [[interface]]",
                  "Interface of the gateway; empty: the one whose network holds it. An IPv6 link-local gateway needs "
                  "it.")});
    return schema;
}

// ---- [[listener]] ---------------------------------------------------------------------------------------------------

std::string parse_route_host(std::string_view text, HttpRoute& route) {
    std::string host(text);
    for (char& c : host)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (!host.empty() && !valid_host_pattern(host))
        return in_quotes(text) + " is no host; write a name without port, as \"example.com\" or \"*.example.com\"";
    route.host = std::move(host);
    return "";
}

const TableSchema<HttpRoute>& http_route_schema() {
    using R = HttpRoute;
    static const TableSchema<R> schema(
        {"listener.route",
         true,
         false,
         "Where requests go (mode \"http\"). The first route that matches host and path wins.",
         {}},
        {parsed_key<R>("host", "string", "a host name, or \"*.\" and one; no port", "\"\"", parse_route_host,
                       "Host of the request; \"*.example.com\" stands for any name below it. Empty: any host.")
             .example("\"*.example.com\""),
         text_key("path", &R::path, valid_path_prefix,
                  "a path that begins with \"/\", of visible ASCII but \"?\" and \"#\"",
                  "Beginning of the request's path. Empty: any path.")
             .example("\"/stream\""),
         text_key("backend", &R::backend, valid_name, "name of a [[backend]]", "Backend of the matching requests.")
             .required("\"quotes\"")});
    return schema;
}

TableSchema<Keepalive> keepalive_schema(const char* path, const char* description) {
    using K = Keepalive;
    return {{path, false, false, description, {}},
            {duration_key("idle", &K::idle_s, second, keepalive_s_min, keepalive_idle_s_max,
                          "Silence before the first probe. Relays are looked at every ten seconds or so, so that much "
                          "later at most; the same holds for the interval."),
             duration_key("interval", &K::interval_s, second, keepalive_s_min, keepalive_s_max,
                          "Time to the next probe while none is answered."),
             integer_key("count", &K::count, 1, keepalive_count_max, "Unanswered probes that end the relay.")
                 .unit("probes")}};
}

const TableSchema<Keepalive>& listener_keepalive_schema() {
    static const TableSchema<Keepalive> schema =
        keepalive_schema("listener.keepalive",
                         "TCP keepalive toward clients: finds those that went away without a word. Without this table "
                         "there is none. It does not hold off idle_timeout.");
    return schema;
}

const TableSchema<Keepalive>& backend_keepalive_schema() {
    static const TableSchema<Keepalive> schema =
        keepalive_schema("backend.keepalive", "TCP keepalive toward the servers; without this table there is none.");
    return schema;
}

const TableSchema<Listener>& listener_schema() {
    using L = Listener;
    const std::vector<std::pair<std::string, ForwardedPolicy>> forwarded = {
        {"off", ForwardedPolicy::off}, {"add", ForwardedPolicy::add}, {"replace", ForwardedPolicy::replace}};
    static const TableSchema<L> schema(
        {"listener", true, false, "An address and port that clients connect to.", {}},
        {text_key("name", &L::name, valid_name, name_rule, "Name in statistics and commands; it keeps the counters.")
             .required("\"ticker\""),
         parsed_key<L>(
             "address", "string", "an IP address, or \"*\"", "",
             [](std::string_view text, L& listener) { return parse_listener_address(text, listener.address); },
             "An address of an interface; \"*\": all of them, IPv4 and IPv6.")
             .required("\"198.18.0.1\""),
         integer_key("port", &L::port, 1, 65535, "TCP port.").required("80"),
         choice_key("mode", &L::mode, {{"http", ListenerMode::http}, {"tcp", ListenerMode::tcp}},
                    "http parses requests and routes them; tcp relays bytes without looking at them."),
         text_key("backend", &L::backend, valid_name, "name of a [[backend]]",
                  "tcp: where every connection goes. http: where a request goes that no route matches; empty: 404.")
             .example("\"quotes\""),
         duration_key("head_timeout", &L::head_timeout_ms, millisecond, 1, timeout_ms_max,
                      "Time for the client to send its whole request head; then 408."),
         duration_key("idle_timeout", &L::idle_timeout_ms, millisecond, 1, timeout_ms_max,
                      "Silence from the client that ends a relay."),
         size_key("head_bytes_max", &L::head_bytes_max, head_bytes_min, head_bytes_max_max,
                  "Longest request head; then 431."),
         integer_key("headers_max", &L::headers_max, 1, headers_max_max, "Most headers of a request; then 431.")
             .unit("headers"),
         choice_key("forwarded_for", &L::forwarded_for, forwarded,
                    "X-Forwarded-For with the client's address. off: as the client sent it; add: appended to the "
                    "client's; replace: ours alone."),
         choice_key("forwarded_proto", &L::forwarded_proto, forwarded,
                    "X-Forwarded-Proto. off: as the client sent it; add: set when absent; replace: ours alone."),
         choice_key("forwarded_host", &L::forwarded_host, forwarded,
                    "X-Forwarded-Host. off: as the client sent it; add: set when absent; replace: ours alone."),
         choice_key("request_id", &L::request_id,
                    {{"off", RequestIdPolicy::off},
                     {"if_absent", RequestIdPolicy::if_absent},
                     {"always", RequestIdPolicy::always}},
                    "X-Request-ID with the connection's id. off: as the client sent it; if_absent: set when absent; "
                    "always: ours alone."),
         duration_key("retry_after", &L::retry_after_s, second, 0, retry_after_s_max,
                      "Retry-After of a 503, in whole seconds; \"0s\": none."),
         table_key("keepalive", &L::keepalive, listener_keepalive_schema()),
         tables_key("route", &L::routes, http_route_schema(), http_route_max),
         table_key("tls", &L::tls, listener_tls_schema())});
    return schema;
}

// ---- [[backend]] ----------------------------------------------------------------------------------------------------

std::string parse_hash(std::string_view text, Backend& backend) {
    constexpr std::string_view header = "header:";
    if (text != "source" && !(text.starts_with(header) && valid_header_name(text.substr(header.size()))))
        return "\"hash\" is " + in_quotes(text) + "; it must be \"source\" or \"header:NAME\", as \"header:X-User\"";
    backend.hash_header = text == "source" ? "" : text.substr(header.size());
    return "";
}

void read_maglev_size(Reader& reader, const Input& in, Backend& backend) {
    const auto size = reader.integer(in, maglev_size_min, maglev_size_max);
    if (!size) return;
    uint32_t prime = static_cast<uint32_t>(*size);
    while (!is_prime(prime)) ++prime;
    if (prime != *size)
        reader.wrong(in, "\"maglev_size\" is " + std::to_string(*size) + ", which is not prime; the next prime is " +
                             std::to_string(prime));
    backend.maglev_size = prime;
}

std::string parse_status(std::string_view text, HealthCheck& health) {
    uint16_t low = 0, high = 0;
    if (!parse_range(text, low, high) || low < 100 || high > 599)
        return in_quotes(text) + " is no range of statuses; write LOW-HIGH within 100 and 599, as \"200-399\"";
    health.status_low = low;
    health.status_high = high;
    return "";
}

std::string parse_ports(std::string_view text, SourcePool& pool) {
    uint16_t low = 0, high = 0;
    if (!parse_range(text, low, high) || low < source_port_min)
        return in_quotes(text) + " is no range of ports; write LOW-HIGH within 1024 and 65535, as \"1024-65535\"";
    pool.port_low = low;
    pool.port_high = high;
    return "";
}

const TableSchema<SourcePool>& source_schema() {
    using S = SourcePool;
    static const TableSchema<S> schema(
        {"backend.sources",
         true,
         true,
         "Where connections to the servers come from; none: the addresses of the interface that leads to the server. "
         "One address carries as many relays to one server as it has ports.",
         {}},
        {parsed_key<S>(
             "address", "string", "an IP address", "",
             [](std::string_view text, S& pool) { return parse_host_address(text, pool.address); },
             "An address of an interface.")
             .required("\"198.18.0.1\""),
         parsed_key<S>("ports", "string", "LOW-HIGH within 1024 and 65535", "\"1024-65535\"", parse_ports,
                       "Ports that may be used.")});
    return schema;
}

const TableSchema<Ejection>& ejection_schema() {
    using E = Ejection;
    static const TableSchema<E> schema(
        {"backend.ejection",
         false,
         false,
         "Passive health: servers that fail live connections are left out for a while.",
         {}},
        {integer_key("consecutive_failures", &E::consecutive_failures, 0, eject_after_max,
                     "Failures in a row, seen by one worker, that eject a server: of connecting, and of WebSocket "
                     "handshakes without a well-formed answer in time; 0: never.")
             .unit("failures"),
         duration_key("duration", &E::duration_ms, millisecond, 1, timeout_ms_max, "How long it stays ejected.")});
    return schema;
}

const TableSchema<HealthCheck>& health_schema() {
    using H = HealthCheck;
    static const TableSchema<H> schema(
        {"backend.health",
         false,
         false,
         "Active health: probes of every server. Without this table there are none.",
         {}},
        {choice_key("type", &H::type,
                    {{"tcp", HealthType::tcp}, {"http", HealthType::http}, {"websocket", HealthType::websocket}},
                    "tcp connects; http also sends GET and checks the status; websocket upgrades, checks the accept "
                    "value, and exchanges ping and pong.")
             .required("\"http\""),
         duration_key("interval", &H::interval_ms, millisecond, 100, 3'600'000, "Time between two probes of a server."),
         duration_key("timeout", &H::timeout_ms, millisecond, 10, 3'600'000,
                      "Time for one probe, at most the interval."),
         integer_key("rise", &H::rise, 1, 100, "Good probes in a row that bring a server up.").unit("probes"),
         integer_key("fall", &H::fall, 1, 100, "Bad probes in a row that take a server down.").unit("probes"),
         text_key("path", &H::path, valid_request_path, "a path that begins with \"/\"",
                  "http and websocket: what is requested."),
         text_key(
             "host", &H::host,
             [](std::string_view text) {
                 return text.size() <= host_bytes_max && valid_request_path("/" + std::string(text));
             },
             "a host name, and a port if need be",
             "http and websocket: Host of the request; empty: the server's address."),
         parsed_key<H>("expect_status", "string", "LOW-HIGH within 100 and 599", "\"200-399\"", parse_status,
                       "http: statuses that are good."),
         boolean_key("tls", &H::tls, "With [backend.tls]: probes speak TLS, too; false: they don't.")});
    return schema;
}

const TableSchema<Server>& server_schema() {
    using S = Server;
    static const TableSchema<S> schema(
        {"backend.server", true, false, "A server of the backend.", {}},
        {text_key("name", &S::name, valid_name, name_rule,
                  "Name within the backend; it keeps counters, weights and overrides across reloads.")
             .required("\"quotes-1\""),
         parsed_key<S>(
             "address", "string", "HOST:PORT or [IPV6]:PORT", "",
             [](std::string_view text, S& server) { return parse_server_address(text, server.host, server.port); },
             "Where it listens. A name is resolved when the configuration is loaded; each of its addresses counts as a "
             "server of this name.")
             .required("\"198.18.0.10:8080\""),
         integer_key("weight", &S::weight, 0, server_weight_max, "Its share of the load; 0: nothing new.")});
    return schema;
}

const TableSchema<Backend>& backend_schema() {
    using B = Backend;
    static const Key<B> maglev_size{
        {"maglev_size", "integer", "a prime, " + range_text(maglev_size_min, maglev_size_max),
         std::to_string(B{}.maglev_size), "", "maglev: places of the table, best over 100 times the servers.",
         "places"},
        read_maglev_size};
    static const TableSchema<B> schema(
        {"backend", true, false, "A group of servers that serve the same.", {}},
        {text_key("name", &B::name, valid_name, name_rule, "Name in routes, statistics and commands.")
             .required("\"quotes\""),
         choice_key("balance", &B::balance,
                    {{"round_robin", Algorithm::round_robin},
                     {"least_conn", Algorithm::least_conn},
                     {"maglev", Algorithm::maglev},
                     {"ip_hash", Algorithm::ip_hash}},
                    "How a server is chosen: in turn by weight, the least loaded by weight, a consistent hash (see "
                    "hash), or a hash of the client's address."),
         parsed_key<B>("hash", "string", "\"source\" or \"header:NAME\"", "\"source\"", parse_hash,
                       "maglev: what is hashed, the client's address or a header of the request."),
         maglev_size,
         duration_key("connect_timeout", &B::connect_timeout_ms, millisecond, 1, timeout_ms_max,
                      "Time to connect to a server before the next one is tried."),
         duration_key("upgrade_timeout", &B::upgrade_timeout_ms, millisecond, 1, timeout_ms_max,
                      "Time from the connection to the server's whole response head; then 504."),
         duration_key("idle_timeout", &B::idle_timeout_ms, millisecond, 1, timeout_ms_max,
                      "Silence from the server that ends a relay."),
         integer_key("retries", &B::retries, 0, retries_max, "Further servers that are tried after a failed connect.")
             .unit("servers"),
         choice_key("when_all_down", &B::when_all_down,
                    {{"refuse", WhenAllDown::refuse}, {"try_all", WhenAllDown::try_all}},
                    "What happens while every server is down: refuse answers 503, try_all tries them all the same."),
         tables_key("sources", &B::sources, source_schema(), source_max),
         table_key("keepalive", &B::keepalive, backend_keepalive_schema()),
         table_key("ejection", &B::ejection, ejection_schema()), table_key("health", &B::health, health_schema()),
         table_key("tls", &B::tls, backend_tls_schema()),
         tables_key("server", &B::servers, server_schema(), server_slot_max)});
    return schema;
}

}  // namespace

const TableSchema<Document>& document_schema() {
    using D = Document;
    const auto part = [](auto key, auto member) {
        // A key of Config is read through the document that holds it.
        return Key<D>{key.info, [read = key.read, member](Reader& reader, const Input& in, D& document) {
                          read(reader, in, document.*member);
                      }};
    };
    static const TableSchema<D> schema(
        {"", false, false, "", {}},
        {integer_key("schema", &D::schema, 1, 1, "Version of this file's format.").required("1"),
         part(table_key("dataplane", &Config::dataplane, dataplane_schema()), &D::config),
         part(table_key("control", &Config::control, control_schema()), &D::config),
         part(tables_key("interface", &Config::interfaces, interface_schema(), interface_max), &D::config),
         part(tables_key("route", &Config::routes, route_schema(), route_max), &D::config),
         part(tables_key("listener", &Config::listeners, listener_schema(), listener_slot_max), &D::config),
         part(tables_key("backend", &Config::backends, backend_schema(), backend_slot_max), &D::config)});
    return schema;
}

const std::vector<TableInfo>& configuration_tables() {
    static const std::vector<TableInfo> tables = {
        document_schema().info(),   dataplane_schema().info(),    tcp_schema().info(),
        control_schema().info(),    admin_socket_schema().info(), interface_schema().info(),
        route_schema().info(),      listener_schema().info(),     listener_keepalive_schema().info(),
        http_route_schema().info(), listener_tls_schema().info(), certificate_schema().info(),
        backend_schema().info(),    source_schema().info(),       backend_keepalive_schema().info(),
        ejection_schema().info(),   health_schema().info(),       backend_tls_schema().info(),
        server_schema().info()};
    return tables;
}

}  // namespace millrace::control
