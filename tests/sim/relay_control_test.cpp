// What control asks of a worker through its ring: streams (health probes) and listings of connections.
#include <cstring>
#include <set>

#include "tests/sim/scene.h"

namespace millrace::sim {
namespace {

template <typename Message>
std::span<const std::byte> bytes_of(const Message& message) {
    return std::as_bytes(std::span(&message, 1));
}

template <typename Message>
Message read(const Balancer::Reply& reply) {
    Message message{};
    EXPECT_GE(reply.payload.size(), sizeof message);
    std::memcpy(&message, reply.payload.data(), std::min(sizeof message, reply.payload.size()));
    return message;
}

struct ControlScene : Scene {
    using Scene::Scene;

    void open(uint64_t id, uint32_t timeout_ms = 5000, const IpAddress& to = Station::address_of(true, 1),
              bool tls = false) {
        const StreamOpen message{.id = id,
                                 .server = to,
                                 .port = server_port,
                                 .server_slot = 0,
                                 .timeout_ms = timeout_ms,
                                 .tls = tls,
                                 .reserved = {}};
        EXPECT_TRUE(balancer->request(MessageType::stream_open, 0, bytes_of(message)));
    }
    void send(uint64_t id, std::string_view text) {
        std::vector<std::byte> payload(8 + text.size());
        std::memcpy(payload.data(), &id, 8);
        std::memcpy(payload.data() + 8, text.data(), text.size());
        EXPECT_TRUE(balancer->request(MessageType::stream_send, 0, payload));
    }
    void close(uint64_t id) { EXPECT_TRUE(balancer->request(MessageType::stream_close, 0, bytes_of(StreamId{id}))); }
    /// The next answer; waits for it.
    Balancer::Reply next(double seconds = 10) {
        std::optional<Balancer::Reply> reply;
        run(seconds, [&] { return (reply = balancer->reply()).has_value(); });
        EXPECT_TRUE(reply.has_value()) << "no answer";
        return reply.value_or(Balancer::Reply{});
    }
    /// Waits until both ends know of the stream.
    void opened() {
        EXPECT_EQ(next().type, MessageType::stream_opened);
        run(0.1);
    }
    StreamEnd next_end(uint64_t id, double seconds = 10) {
        const Balancer::Reply reply = next(seconds);
        EXPECT_EQ(reply.type, MessageType::stream_closed);
        const StreamClosed closed = read<StreamClosed>(reply);
        EXPECT_EQ(closed.id, id);
        return closed.end;
    }
};

TEST(RelayStreams, OpenSendReceiveClose) {
    ControlScene scene;
    scene.start();
    Station& server = scene.server(1, answering("pong: \r\n\r\n"));
    scene.open(7);
    EXPECT_EQ(scene.next().type, MessageType::stream_opened);
    EXPECT_EQ(scene.balancer->worker_total(&relay::WorkerStats::streams_open), 1u);
    scene.send(7, "ping: \r\n\r\n");
    const Balancer::Reply data = scene.next();
    EXPECT_EQ(data.type, MessageType::stream_data);
    EXPECT_EQ(read<StreamId>(data).id, 7u);
    EXPECT_EQ(std::memcmp(data.payload.data() + 8, "pong: \r\n\r\n", 10), 0);
    EXPECT_EQ(server.peers().at(0)->received, "ping: \r\n\r\n");
    scene.close(7);
    EXPECT_EQ(scene.next_end(7), StreamEnd::by_control);
    scene.expect_idle(1);
    scene.run(0.1);
    EXPECT_EQ(server.peers().at(0)->end_, End::reset);
    EXPECT_FALSE(scene.balancer->reply().has_value()) << "the end is told once";
    EXPECT_TRUE(scene.balancer->events().empty()) << "a probe is no relay";
}

TEST(RelayStreams, EveryEndIsTold) {
    ControlScene scene;
    scene.start();
    Station& server = scene.server(1);
    scene.open(1);
    scene.opened();
    server.peers().back()->shutdown();
    EXPECT_EQ(scene.next_end(1), StreamEnd::by_server);
    scene.open(2);
    scene.opened();
    server.peers().back()->abort();
    EXPECT_EQ(scene.next_end(2), StreamEnd::reset);
    scene.open(3, 1500);
    scene.next();
    EXPECT_EQ(scene.next_end(3), StreamEnd::timed_out);
    scene.open(4, 1500, Station::address_of(true, 99));
    EXPECT_EQ(scene.next_end(4), StreamEnd::timed_out);
    scene.silent_host(2);
    scene.open(5, 1500, Station::address_of(true, 2));
    EXPECT_EQ(scene.next_end(5), StreamEnd::refused);
    scene.open(6, 1500, IpAddress::v4(203, 0, 113, 1));
    EXPECT_EQ(scene.next_end(6), StreamEnd::unreachable);
    scene.expect_idle();
}

TEST(RelayStreams, MayGoThroughTls) {
    ControlScene scene;
    add_tls_listeners(scene.config);
    scene.config.backends[0].tls = 1;
    scene.config.backends[0].handshake_timeout_ms = 5'000;
    scene.start();
    Station& server = scene.silent_host(1);
    server.listen_tls(server_port, {}, answering("pong: \r\n\r\n"));
    scene.open(7, 5000, Station::address_of(true, 1), true);
    EXPECT_EQ(scene.next().type, MessageType::stream_opened);
    scene.send(7, "ping: \r\n\r\n");
    const Balancer::Reply data = scene.next();
    EXPECT_EQ(data.type, MessageType::stream_data);
    EXPECT_EQ(std::memcmp(data.payload.data() + 8, "pong: \r\n\r\n", 10), 0);
    EXPECT_EQ(server.peers().at(0)->received, "ping: \r\n\r\n");
    // A record longer than one message to control takes no retransmission.
    const uint64_t sent = server.host().counters().retransmitted_segments.load();
    server.peers().at(0)->send(std::string(12'000, 'x'));
    size_t came = 0;
    while (came < 12'000) came += scene.next().payload.size() - 8;
    EXPECT_EQ(server.host().counters().retransmitted_segments.load(), sent);
    server.peers().at(0)->shutdown();
    EXPECT_EQ(scene.next_end(7), StreamEnd::by_server);
    // Who does not speak TLS, says nothing, or hangs up.
    scene.silent_host(2).listen(server_port, [](Peer& peer) {
        if (!peer.received.empty() && peer.once()) peer.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    scene.open(8, 5000, Station::address_of(true, 2), true);
    EXPECT_EQ(scene.next_end(8), StreamEnd::tls_handshake);
    scene.silent_host(3).listen(server_port, [](Peer&) {});
    scene.open(9, 1500, Station::address_of(true, 3), true);
    EXPECT_EQ(scene.next_end(9), StreamEnd::timed_out);
    scene.silent_host(4).listen(server_port, [](Peer& peer) {
        if (!peer.received.empty()) peer.shutdown();
    });
    scene.open(10, 1500, Station::address_of(true, 4), true);
    EXPECT_EQ(scene.next_end(10), StreamEnd::tls_handshake);
    scene.expect_idle();
}

// A probe that waits as long as everybody when many reconnect would look like a dead server.
TEST(RelayStreams, AreSeatedBeforeRelays) {
    ControlScene scene;
    add_tls_listeners(scene.config);
    scene.config.backends[0].tls = 1;
    scene.config.backends[0].handshake_timeout_ms = 60'000;
    scene.options.tls_seats = 1;
    scene.start();
    scene.silent_host(1).listen(server_port, [](Peer&) {});
    for (int i = 1; i <= 8; ++i) {
        scene.client(i).connect(http_port).send(upgrade_request("/"));
        scene.run(0.05);
    }
    scene.silent_host(2).listen_tls(server_port, {}, answering("pong: \r\n\r\n"));
    scene.open(7, 4000, Station::address_of(true, 2), true);
    EXPECT_EQ(scene.next().type, MessageType::stream_opened);
    scene.close(7);
    scene.expect_idle(90);
}

// Relays' servers that say nothing lose their seats to others; a probe is there to find out how long they say nothing.
TEST(RelayStreams, HaveTheirTimeAndAreSeatedInTurn) {
    ControlScene scene;
    add_tls_listeners(scene.config);
    scene.config.backends[0].tls = 1;
    scene.config.backends[0].handshake_timeout_ms = 60'000;
    scene.options.tls_seats = 4;  // one for probes
    scene.start();
    scene.silent_host(1).listen(server_port, [](Peer&) {});
    scene.silent_host(2).listen_tls(server_port, {}, answering("pong: \r\n\r\n"));
    for (int i = 1; i <= 8; ++i) scene.client(i).connect(http_port).send(upgrade_request("/"));
    scene.run(0.1);
    scene.open(7, 2500, Station::address_of(true, 1), true);
    scene.run(0.05);
    scene.open(8, 6000, Station::address_of(true, 2), true);
    scene.run(0.05);
    scene.open(9, 6000, Station::address_of(true, 2), true);
    EXPECT_EQ(scene.next_end(7), StreamEnd::timed_out);
    for (const uint64_t id : {8u, 9u}) {
        const Balancer::Reply reply = scene.next();
        EXPECT_EQ(reply.type, MessageType::stream_opened);
        EXPECT_EQ(read<StreamId>(reply).id, id);
        scene.close(id);
        EXPECT_EQ(scene.next_end(id), StreamEnd::by_control);
    }
    scene.expect_idle(90);
}

// Control could no longer reach them, and that says nothing about the server.
TEST(RelayStreams, EndWithoutAVerdictWhenTheirShardMoves) {
    ControlScene scene(1, 2);
    scene.start();
    scene.server(1);
    scene.balancer->share_out(1);
    for (uint64_t id = 1; id <= 4; ++id) scene.open(id);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(scene.next().type, MessageType::stream_opened);
    EXPECT_EQ(scene.balancer->share_out(2), 2u);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(read<StreamClosed>(scene.next()).end, StreamEnd::no_memory);
    scene.run(0.1);
    EXPECT_FALSE(scene.balancer->reply(0).has_value() || scene.balancer->reply(1).has_value()) << "told once";
    EXPECT_EQ(scene.balancer->worker_total(&relay::WorkerStats::streams_open), 2u) << "those that stayed";
    for (uint64_t id = 1; id <= 4; ++id) scene.close(id);
    scene.expect_idle(1);
}

TEST(RelayStreams, AreRefusedWithoutAVerdictByAWorkerThatOwnsNoShard) {
    ControlScene scene(1, 2);
    scene.start();
    scene.server(1);
    scene.balancer->share_out(1);
    const StreamOpen open{.id = 1,
                          .server = Station::address_of(true, 1),
                          .port = server_port,
                          .server_slot = 0,
                          .timeout_ms = 500,
                          .tls = 0,
                          .reserved = {}};
    scene.balancer->request(MessageType::stream_open, 0, bytes_of(open), 1);
    scene.run(0.01);
    const auto reply = scene.balancer->reply(1);
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(read<StreamClosed>(*reply).end, StreamEnd::no_memory);
}

// Else the probes of a balancer that is out of ports would call its servers down.
TEST(RelayStreams, WithoutASourcePortTheFaultIsOurs) {
    ControlScene scene;
    scene.config.backends[0].source_count = 1;
    scene.config.sources.push_back({0, 3000, 3003, 0});
    scene.start();
    scene.server(1);
    size_t refused = 0;
    for (uint64_t id = 1; id <= 12; ++id) scene.open(id);
    for (int i = 0; i < 12; ++i) {
        const Balancer::Reply reply = scene.next();
        if (reply.type != MessageType::stream_closed) continue;
        EXPECT_EQ(read<StreamClosed>(reply).end, StreamEnd::no_memory);
        ++refused;
    }
    EXPECT_GE(refused, 8u);
    scene.expect_idle();
}

TEST(RelayStreams, LongAnswerWaitsForRoomInTheRing) {
    ControlScene scene;
    scene.start();
    const std::string content(1'500'000, 'x');
    scene.server(1, answering(content, true));
    scene.open(9, 60'000);
    EXPECT_EQ(scene.next().type, MessageType::stream_opened);
    scene.send(9, "go\r\n\r\n");
    scene.run(5);  // the ring of 512 KiB fills
    size_t got = 0;
    for (bool closed = false; !closed;) {
        const Balancer::Reply reply = scene.next(30);
        if (reply.type == MessageType::stream_data) got += reply.payload.size() - 8;
        closed = reply.type != MessageType::stream_data;
        if (closed) {
            EXPECT_EQ(read<StreamClosed>(reply).end, StreamEnd::by_server);
        }
    }
    EXPECT_EQ(got, content.size());
    scene.expect_idle();
}

TEST(RelayStreams, HostileRequestsAreHarmless) {
    ControlScene scene;
    scene.start();
    Station& server = scene.server(1);
    for (uint16_t type = 0; type < 8; ++type) {
        scene.balancer->request(static_cast<MessageType>(type), 1, {});
        scene.balancer->request(static_cast<MessageType>(type), 1, bytes_of(uint32_t{0xffffffff}));
        const std::vector<std::byte> ones(64, std::byte{0xff});
        scene.balancer->request(static_cast<MessageType>(type), 1, ones);
        scene.run(0.1);
    }
    while (scene.balancer->reply()) {
    }
    scene.open(0);  // an id like any other
    scene.run(1);
    EXPECT_EQ(scene.next().type, MessageType::stream_opened);
    scene.close(0);
    EXPECT_EQ(scene.next_end(0), StreamEnd::by_control);
    // What a server does not read is not piled up without end.
    scene.open(1, 60'000);
    scene.opened();
    server.peers().back()->pause();
    const std::string much(16'000, 'm');
    std::optional<Balancer::Reply> reply;
    for (int i = 0; i < 100 && !reply; ++i) {
        scene.send(1, much);
        scene.run(0.05);
        reply = scene.balancer->reply();
    }
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(read<StreamClosed>(*reply).end, StreamEnd::no_memory);
    EXPECT_LT(scene.chunk_bytes_most, 4u * scene.config.dataplane.send_queue_bytes);
    scene.expect_idle();
}

TEST(RelayStreams, NewControlMayUseTheIdsOfTheOldOne) {
    ControlScene scene;
    scene.start();
    Station& server = scene.server(1);
    scene.open(1, 60'000);
    scene.opened();
    scene.balancer->attach_control();  // control was restarted
    scene.open(1, 60'000);
    scene.opened();
    EXPECT_TRUE(scene.run(1, [&] { return server.peers().at(0)->end_.has_value(); })) << "nobody reads the old one";
    scene.send(1, "hello");
    EXPECT_TRUE(scene.run(1, [&] { return server.peers().at(1)->received == "hello"; }));
    scene.close(1);
    EXPECT_EQ(scene.next_end(1), StreamEnd::by_control);
    scene.expect_idle();
}

TEST(RelayListing, PagesShowEveryConnectionOnce) {
    ControlScene scene;
    scene.start();
    scene.server(1, echo_upgraded);
    Station& client = scene.client();
    for (int i = 0; i < 37; ++i) client.connect(http_port).send(upgrade_request("/") + "abc");
    client.connect(tcp_port);
    scene.open(1, 60'000);
    scene.next();
    scene.run(2);
    for (const uint16_t limit : {uint16_t{1}, uint16_t{10}, connections_page_max, uint16_t{0xffff}}) {
        std::set<uint64_t> ids;
        size_t raw = 0, pages = 0;
        uint64_t cursor = 0;
        do {
            const ListConnections request{cursor, limit, no_slot, no_slot, 0};
            EXPECT_TRUE(scene.balancer->request(MessageType::list_connections, 77, bytes_of(request)));
            const Balancer::Reply reply = scene.next();
            ASSERT_EQ(reply.type, MessageType::connections);
            EXPECT_EQ(reply.request_id, 77u);
            const auto page = read<ConnectionsPage>(reply);
            ASSERT_EQ(reply.payload.size(), sizeof page + page.count * sizeof(ConnectionRecord));
            EXPECT_LE(page.count, limit);
            for (size_t i = 0; i < page.count; ++i) {
                ConnectionRecord record;
                std::memcpy(&record, reply.payload.data() + sizeof page + i * sizeof record, sizeof record);
                EXPECT_TRUE(ids.insert(record.connection_id).second);
                EXPECT_EQ(record.client, Station::address_of(false, 1));
                EXPECT_EQ(record.server, Station::address_of(true, 1));
                EXPECT_EQ(record.listener_address, balancer_v4);
                EXPECT_EQ(record.source, balancer_v4);
                EXPECT_EQ(record.state, RelayState::relaying);
                raw += record.listener_port == tcp_port ? 1 : 0;
                EXPECT_EQ(record.bytes_down, record.listener_port == tcp_port ? 0u : 3u);
            }
            cursor = page.next_cursor;
            ASSERT_LT(++pages, 100u);
        } while (cursor != 0);
        EXPECT_EQ(ids.size(), 38u);
        EXPECT_EQ(raw, 1u);
    }
    const ListConnections other{0, 100, 1, no_slot, 0};
    EXPECT_TRUE(scene.balancer->request(MessageType::list_connections, 1, bytes_of(other)));
    EXPECT_EQ(read<ConnectionsPage>(scene.next()).count, 1u);
    for (const auto& peer : client.peers()) peer->abort();
    scene.close(1);
    scene.expect_idle();
}

TEST(RelayInspection, BothSidesOfARelay) {
    ControlScene scene(1, 2);
    scene.start();
    Station& server = scene.server(1, echo_upgraded);
    Peer* server_end = nullptr;
    Peer& peer = scene.upgraded(scene.client(), server, server_end);
    scene.run(0.2);  // until everything is acknowledged
    const std::vector<RelayEvent> events = scene.balancer->events();
    ASSERT_EQ(events.size(), 1u);
    const auto ask = [&](uint16_t worker, uint64_t id, uint64_t cursor = 0) {
        const ShowTcp request{cursor, id};
        EXPECT_TRUE(scene.balancer->request(MessageType::show_tcp, 5, bytes_of(request), worker));
        std::optional<Balancer::Reply> reply;
        scene.run(1, [&] { return (reply = scene.balancer->reply(worker)).has_value(); });
        EXPECT_TRUE(reply && reply->type == MessageType::tcp_shown && reply->request_id == 5);
        return read<TcpShown>(reply.value_or(Balancer::Reply{}));
    };
    const uint64_t id = events[0].connection_id;
    const TcpShown answers[] = {ask(0, id), ask(1, id)};
    EXPECT_EQ(answers[0].found + answers[1].found, 1) << "it is one worker's";
    const uint16_t owner = answers[0].found != 0 ? 0 : 1;
    const TcpShown& shown = answers[owner];
    EXPECT_EQ(answers[1 - owner].next_cursor, 0u);
    EXPECT_EQ(shown.sides, TcpSides::both);
    EXPECT_EQ(shown.connection.connection_id, id);
    EXPECT_EQ(shown.connection.client, Station::address_of(false, 1));
    for (const TcpInfo& info : {shown.client, shown.server}) {
        EXPECT_EQ(info.state, TcpState::established);
        EXPECT_GE(info.min_rtt_us, 2000u) << "two milliseconds of delay";
        EXPECT_LT(info.min_rtt_us, 4000u);
        EXPECT_EQ(info.in_flight, 0u);
        EXPECT_NE(info.cwnd, 0u);
    }
    EXPECT_EQ(ask(owner, id, UINT64_MAX).found, 0) << "a cursor out of nowhere";
    EXPECT_EQ(ask(owner, id, 1u << 20).next_cursor, 0u);
    server_end->shutdown();
    EXPECT_TRUE(scene.run(5, [&] { return peer.fin; }));
    EXPECT_EQ(ask(owner, id).server.state, TcpState::close_wait) << "the client may go on";
    peer.abort();
    scene.expect_idle();
    EXPECT_EQ(ask(owner, id).found, 0);
}

TEST(RelayInspection, PingsThatNobodyAnswersEndToo) {
    ControlScene scene;
    scene.start();
    const auto ping = [&](const IpAddress& address) {
        const Ping request{.address = address, .payload_bytes = 56, .reserved = 0, .timeout_ms = 500};
        EXPECT_TRUE(scene.balancer->request(MessageType::ping, 9, bytes_of(request)));
        const Balancer::Reply reply = scene.next();
        EXPECT_EQ(reply.type, MessageType::pinged);
        EXPECT_EQ(reply.request_id, 9u);
        return read<Pinged>(reply);
    };
    const Pinged silent = ping(Station::address_of(true, 99));
    EXPECT_EQ(silent.end, PingEnd::no_neighbour);
    EXPECT_EQ(silent.next_hop, Station::address_of(true, 99));
    EXPECT_EQ(ping(IpAddress::v4(203, 0, 113, 1)).end, PingEnd::no_route);
}

TEST(RelayInspection, CapturesStartAndStop) {
    ControlScene scene;
    scene.start();
    CaptureStart start{.id = 5, .snaplen = 100, .duration_ms = 1000, .frames_max = 10, .filter = {}};
    const auto started = [&] {
        EXPECT_TRUE(scene.balancer->request(MessageType::capture_start, 9, bytes_of(start)));
        const Balancer::Reply reply = scene.next();
        EXPECT_EQ(reply.type, MessageType::capture_started);
        return read<CaptureStarted>(reply).started;
    };
    EXPECT_EQ(started(), 1);
    EXPECT_TRUE(scene.balancer->request(MessageType::capture_stop, 10, bytes_of(CaptureStop{5})));
    const Balancer::Reply stopped = scene.next();
    EXPECT_EQ(stopped.type, MessageType::capture_stopped);
    EXPECT_EQ(read<CaptureStopped>(stopped).recorded, 0u);
    start.filter.count = 1;
    start.filter.steps[0].test = static_cast<CaptureTest>(77);
    EXPECT_EQ(started(), 0);
}

TEST(RelayListing, NeighboursAreListed) {
    ControlScene scene;
    scene.start();
    scene.server(1, echo_upgraded);
    Peer& peer = scene.client().connect(http_port);
    peer.send(upgrade_request("/"));
    EXPECT_TRUE(scene.run(5, [&] { return !peer.received.empty(); }));
    EXPECT_TRUE(scene.balancer->request(MessageType::list_neighbours, 5, {}));
    const Balancer::Reply reply = scene.next();
    EXPECT_EQ(reply.type, MessageType::neighbours);
    EXPECT_EQ(read<NeighboursPage>(reply).count, 2u);
    peer.abort();
    scene.expect_idle();
}

}  // namespace
}  // namespace millrace::sim
