// The admin API over real Unix sockets, with a fake dataplane at the other end.
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <pthread.h>
#include <set>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "api_fixture.h"

namespace millrace::control::test {
namespace {

TEST_F(ApiTest, AnswersWithoutADataplane) {
    RunningControl control(run_);
    const Answer status = client().get("/v1/status");
    ASSERT_EQ(status.status, 200);
    EXPECT_EQ(status.body["instance"], "test");
    EXPECT_EQ(status.body["control"]["generation"], 1);
    EXPECT_EQ(status.body["dataplane"]["running"], false);
    EXPECT_EQ(status.body["servers"]["total"], 2);
    EXPECT_EQ(servers().size(), 2u);
    EXPECT_EQ(servers()[0]["state"], "unknown");
    for (const char* path :
         {"/v1/listeners", "/v1/backends", "/v1/workers", "/v1/routes", "/v1/stats", "/v1/config", "/v1/events"})
        EXPECT_EQ(client().get(path).status, 200) << path;
    EXPECT_EQ(client().get("/v1/connections").status, 503);
    EXPECT_EQ(client().get("/v1/neighbours").status, 503);
    EXPECT_EQ(client().get("/v1/config").body["config"]["backend"][0]["server"][0]["weight"], 5);
    struct stat info;
    ASSERT_EQ(stat(socket().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0660u);
}

TEST_F(ApiTest, RolesAndErrors) {
    RunningControl control(run_);
    EXPECT_EQ(client("viewer.sock").get("/v1/servers").status, 200);
    const Answer refused = client("viewer.sock").post("/v1/servers/quotes/a/drain");
    EXPECT_EQ(refused.status, 403);
    EXPECT_NE(refused.body["error"].get<std::string>().find("operator"), std::string::npos);
    EXPECT_EQ(servers()[0]["admin"], "enabled");
    EXPECT_EQ(client("viewer.sock").put("/v1/servers/quotes/a/weight", "{\"weight\":1}").status, 403);
    EXPECT_EQ(client("viewer.sock").post("/v1/config/check", "schema = 1").status, 403);
    EXPECT_EQ(client("operator.sock").post("/v1/servers/quotes/a/drain").status, 200);
    EXPECT_EQ(client("operator.sock").post("/v1/config/check", "schema = 1").status, 200);
    EXPECT_EQ(client("operator.sock").post("/v1/config/reload").status, 403);
    EXPECT_EQ(client("viewer.sock").post("//v1/config/reload").status, 403);

    EXPECT_EQ(client().get("/v1/nothing").status, 404);
    EXPECT_TRUE(client().get("/v1/nothing").body.contains("error"));
    EXPECT_EQ(client().post("/v1/servers/quotes/zzz/drain").status, 404);
    EXPECT_EQ(client().post("/v1/servers/quotes/a/explode").status, 404);
    for (const char* body : {"", "{}", "{\"weight\":-1}", "{\"weight\":1001}", "{\"weight\":1.5}", "{\"weight\":\"1\"}",
                             "[1]", "{\"weight\":1"})
        EXPECT_EQ(client().put("/v1/servers/quotes/a/weight", body).status, 400) << body;
    EXPECT_EQ(client().get("/v1/connections?limit=0").status, 400);
    EXPECT_EQ(client().get("/v1/connections?limit=x").status, 400);
    EXPECT_EQ(client().get("/v1/events?replay=1001").status, 400);
    EXPECT_EQ(client().post("/v1/config/check", std::string((4 << 20) + 1, ' ')).status, 413);
}

// The refusal comes before the body is read; closing then would reset the connection under the client.
TEST_F(ApiTest, ARefusalReachesAClientThatIsStillSending) {
    RunningControl control(run_);
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, socket("viewer.sock").c_str());
    ASSERT_EQ(connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const auto send_text = [&](std::string_view text) {
        return send(descriptor, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
    };
    ASSERT_TRUE(send_text("PUT /v1/servers/quotes/a/weight HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n{\"wei"));
    pollfd answered{descriptor, POLLIN, 0};
    ASSERT_EQ(poll(&answered, 1, 5000), 1);
    pollfd hung_up{descriptor, 0, 0};
    EXPECT_EQ(poll(&hung_up, 1, 100), 0);
    EXPECT_TRUE(send_text("ght\":1}"));
    std::string answer(4096, '\0');
    const ssize_t size = recv(descriptor, answer.data(), answer.size(), 0);
    ASSERT_GT(size, 0) << strerror(errno);
    EXPECT_EQ(answer.substr(0, 12), "HTTP/1.1 403");
    close(descriptor);
}

TEST_F(ApiTest, ServerCommandsAreOverridesThatARestartKeeps) {
    json before;
    {
        RunningControl control(run_);
        EXPECT_EQ(client().post("/v1/servers/quotes/a/drain").status, 200);
        EXPECT_EQ(client().put("/v1/servers/quotes/b/weight", "{\"weight\":9}").status, 200);
        before = servers();
        EXPECT_EQ(before[0]["state"], "drain");
        EXPECT_EQ(before[0]["overrides"], json({"admin"}));
        EXPECT_EQ(before[1]["weight"], 9);
        EXPECT_EQ(before[1]["configured_weight"], 1);
        EXPECT_EQ(before[1]["overrides"], json({"weight"}));
    }
    RunningControl control(run_);
    EXPECT_EQ(servers(), before);
    run_.write_config(SampleConfig{.weight_of_a = "6"}.text());
    EXPECT_EQ(client().post("/v1/config/reload").body["result"], "published");
    EXPECT_EQ(servers()[0]["state"], "drain");
    EXPECT_EQ(servers()[0]["configured_weight"], 6);
    EXPECT_EQ(servers()[1]["weight"], 9);
    EXPECT_EQ(client().post("/v1/servers/quotes/b/reset").status, 200);
    EXPECT_EQ(client().post("/v1/servers/quotes/a/enable").status, 200);
    for (const json& server : servers()) EXPECT_EQ(server["overrides"], json::array());
    EXPECT_EQ(servers()[1]["weight"], 1);
}

TEST_F(ApiTest, Reload) {
    RunningControl control(run_);
    EXPECT_EQ(client().post("/v1/config/reload").body["result"], "unchanged");
    EXPECT_EQ(client().post("/v1/config/reload").body["dataplane"], "not_running");

    run_.write_config(SampleConfig().text() + "nonsense = 1\n");
    const Answer bad = client().post("/v1/config/reload");
    EXPECT_EQ(bad.status, 409);
    EXPECT_EQ(bad.body["result"], "refused");
    ASSERT_FALSE(bad.body["diagnostics"].empty());
    EXPECT_GT(bad.body["diagnostics"][0]["line"], 1);
    EXPECT_EQ(client().get("/v1/status").body["control"]["generation"], 1);
    EXPECT_TRUE(client().get("/v1/status").body["control"]["config_error"].is_string());
    EXPECT_EQ(servers().size(), 2u);

    FakeDataplane dataplane(run_.directory());
    ASSERT_TRUE(dataplane_is_seen());
    run_.write_config(SampleConfig{.servers = "abc"}.text());
    const Answer good = client().post("/v1/config/reload");
    EXPECT_EQ(good.status, 200);
    EXPECT_EQ(good.body["result"], "published");
    EXPECT_EQ(good.body["generation"], 2);
    EXPECT_EQ(good.body["dataplane"], "in_force");
    EXPECT_EQ(servers().size(), 3u);
    EXPECT_TRUE(client().get("/v1/status").body["control"]["config_error"].is_null());

    dataplane.refuse("interfaces need a restart");
    run_.write_config(SampleConfig{.servers = "ab"}.text());
    const Answer refused = client().post("/v1/config/reload");
    EXPECT_EQ(refused.status, 409);
    EXPECT_EQ(refused.body["dataplane"], "refused");
    EXPECT_NE(refused.body["error"].get<std::string>().find("interfaces need a restart"), std::string::npos);
}

TEST_F(ApiTest, HealthRidesTheStreams) {
    RunningControl control(run_);
    const GoodDataplane good;
    auto dataplane = std::make_unique<FakeDataplane>(run_.directory(), good);
    EXPECT_TRUE(eventually([&] { return servers()[0]["state"] == "up" && servers()[1]["state"] == "up"; }));
    good.dead_address_end->store(11);  // b
    EXPECT_TRUE(eventually([&] { return servers()[1]["state"] == "down"; }));
    EXPECT_EQ(servers()[0]["state"], "up");
    EXPECT_EQ(servers()[1]["health"]["last_result"], "connection refused");

    dataplane.reset();  // killed: nothing is judged any more
    EXPECT_TRUE(eventually([&] { return client().get("/v1/status").body["dataplane"]["running"] == false; }));
    EXPECT_EQ(servers()[0]["state"], "up");
    EXPECT_EQ(servers()[1]["state"], "down");
    good.dead_address_end->store(0);
    const unsigned before = *good.streams;
    dataplane = std::make_unique<FakeDataplane>(run_.directory(), good, 1);
    EXPECT_TRUE(eventually([&] { return servers()[1]["state"] == "up"; }));
    EXPECT_GT(*good.streams, before);

    run_.write_config(SampleConfig{.health = false}.text());
    client().post("/v1/config/reload");
    EXPECT_EQ(servers()[0]["state"], "unknown") << "no health section: usable, unknown";
    EXPECT_TRUE(servers()[0]["health"].is_null());
}

TEST_F(ApiTest, StatisticsAndEjection) {
    RunningControl control(run_);
    FakeDataplane dataplane(run_.directory());
    ASSERT_TRUE(dataplane_is_seen());
    const unsigned slot = servers()[0]["slot"];
    dataplane.server(0, slot).open = 2;
    dataplane.server(1, slot).open = 3;
    dataplane.server(1, slot).ejected_workers = 1;
    EXPECT_EQ(servers()[0]["stats"]["open"], 5);
    EXPECT_EQ(servers()[0]["state"], "ejected");
    EXPECT_EQ(client().get("/v1/status").body["relays_open"], 5);
    EXPECT_EQ(client().get("/v1/status").body["servers"]["usable"], 1);
    EXPECT_EQ(client().get("/v1/backends").body["backends"][0]["open"], 5);
    auto& worker = dataplane.block<FakeLayout::Worker>(StatScope::worker, 1, 0);
    EXPECT_TRUE(eventually([&] {
        worker.busy_cycles_total += 25;
        worker.idle_cycles_total += 50;
        worker.device_cycles_total += 25;
        const json workers = client().get("/v1/workers").body["workers"];
        return workers.size() == 2 && workers[1]["busy_share"].is_number() && workers[1]["busy_share"] > 0.2 &&
               workers[1]["busy_share"] < 0.3;
    }));
}

TEST_F(ApiTest, ConnectionsArePagedOverAllWorkers) {
    RunningControl control(run_);
    FakeDataplane dataplane(run_.directory(), GoodDataplane{.relays = 250});
    ASSERT_TRUE(dataplane_is_seen());
    std::set<std::string> ids;
    std::string cursor;
    unsigned pages = 0;
    do {
        const Answer page = client().get("/v1/connections?limit=70&cursor=" + cursor);
        ASSERT_EQ(page.status, 200) << page.body;
        for (const json& connection : page.body["connections"]) ids.insert(connection["connection_id"]);
        cursor = page.body["next_cursor"].is_string() ? page.body["next_cursor"] : "";
        ++pages;
    } while (!cursor.empty() && pages < 20);
    EXPECT_EQ(ids.size(), 500u);
    EXPECT_EQ(pages, 8u);
    const Answer filtered = client().get("/v1/connections?server=quotes/b&listener=web&limit=5");
    ASSERT_EQ(filtered.status, 200);
    EXPECT_EQ(filtered.body["connections"][0]["server"], "b");
    EXPECT_EQ(filtered.body["connections"][0]["client"], "198.18.0.99:4711");
    EXPECT_EQ(client().get("/v1/connections?server=quotes/zzz").status, 404);
    EXPECT_EQ(client().get("/v1/connections?listener=zzz").status, 404);
    EXPECT_EQ(client().get("/v1/connections?cursor=zzz").status, 400);

    const json neighbours = client().get("/v1/neighbours").body["neighbours"];
    ASSERT_EQ(neighbours.size(), 1u) << "two workers know it";
    EXPECT_EQ(neighbours[0]["age_ms"], 100);
    EXPECT_EQ(neighbours[0]["mac"], "02:00:00:00:00:01");
    EXPECT_EQ(neighbours[0]["interface"], "front");
}

TEST_F(ApiTest, MalformedPagesAreRefused) {
    RunningControl control(run_);
    FakeDataplane dataplane(run_.directory(), [](FakeDataplane& fake, uint32_t worker, const MessageHeader& message,
                                                 std::span<const std::byte>) {
        if (static_cast<MessageType>(message.type) == MessageType::list_connections)
            fake.reply_struct(worker, MessageType::connections, message.request_id, ConnectionsPage{0, 1'000'000, 0});
        if (static_cast<MessageType>(message.type) == MessageType::list_neighbours)
            fake.reply(worker, MessageType::neighbours, message.request_id, {});
    });
    ASSERT_TRUE(dataplane_is_seen());
    EXPECT_EQ(client().get("/v1/connections").status, 503);
    EXPECT_EQ(client().get("/v1/neighbours").status, 503);
}

RelayEvent closed_event(uint64_t id, uint64_t time) {
    RelayEvent event{};
    event.kind = RelayEventKind::closed;
    event.connection_id = id;
    event.unix_time_us = time;
    event.client = IpAddress::v4(198, 18, 0, 7);
    event.server_slot = 0;
    event.listener_slot = 0;
    event.closer = Closer::client;
    event.reason = CloseReason::fin;
    return event;
}

TEST_F(ApiTest, EventsReplayInTheOrderOfTime) {
    RunningControl control(run_);
    FakeDataplane dataplane(run_.directory());
    ASSERT_TRUE(dataplane_is_seen());
    for (uint64_t n = 0; n < 150; ++n) dataplane.events(n % 2).push(closed_event(n, 1000 + n));
    json events = client().get("/v1/events").body["events"];
    ASSERT_EQ(events.size(), 100u);
    EXPECT_EQ(events[0]["unix_time_us"], 1050);
    EXPECT_EQ(events[99]["unix_time_us"], 1149);
    EXPECT_EQ(events[99]["connection_id"], "0000000000000095");
    EXPECT_EQ(events[99]["reason"], "fin");
    EXPECT_EQ(events[99]["closed_by"], "client");
    EXPECT_EQ(events[99]["listener"], "web");
    EXPECT_EQ(events[99]["server"], "a");
    EXPECT_EQ(client().get("/v1/events?replay=3").body["events"].size(), 3u);
}

TEST_F(ApiTest, EventsFollowAndCountWhatWasLost) {
    RunningControl control(run_);
    auto dataplane = std::make_unique<FakeDataplane>(run_.directory());
    ASSERT_TRUE(dataplane_is_seen());
    std::mutex mutex;
    std::string received;
    std::atomic<bool> enough = false;
    ApiClient following = client();
    std::thread reader([&] {
        following.http().Get("/v1/events?follow=1", [&](const char* data, size_t size) {
            std::lock_guard lock(mutex);
            received.append(data, size);
            return !enough;
        });
    });
    const auto has = [&](const std::string& text) {
        std::lock_guard lock(mutex);
        return received.find(text) != std::string::npos;
    };
    EXPECT_TRUE(eventually([&] {
        dataplane->events(0).push(closed_event(1, 1));
        return has("\"connection_id\":\"0000000000000001\"");
    }));
    for (uint64_t n = 0; n < 3 * event_slot_count; ++n) dataplane->events(1).push(closed_event(2, 2));
    EXPECT_TRUE(eventually([&] { return has("\"kind\":\"missed\",\"worker\":1"); }));
    dataplane = std::make_unique<FakeDataplane>(run_.directory());
    dataplane->events(0).push(closed_event(3, 3));
    EXPECT_TRUE(eventually([&] { return has("\"connection_id\":\"0000000000000003\""); })) << "over a restart";
    enough = true;
    dataplane->events(0).push(closed_event(4, 4));
    reader.join();
}

TEST_F(ApiTest, ThePeersUidComesFromTheKernel) {
    UnixServer server;
    server.Get("/who", [](const httplib::Request& request, httplib::Response& response) {
        response.set_content("{\"uid\":\"" + request.remote_addr + "\"}", "application/json");
    });
    std::string error;
    ASSERT_TRUE(server.bind(socket("who.sock"), 0600, static_cast<uid_t>(-1), static_cast<gid_t>(-1), error)) << error;
    server.start();
    ApiClient asking = client("who.sock");
    asking.http().set_default_headers({{"REMOTE_ADDR", "12345"}});
    EXPECT_EQ(asking.get("/who").body["uid"], std::to_string(geteuid()));
    server.stop();
    EXPECT_FALSE(std::filesystem::exists(socket("who.sock")));

    std::ofstream(socket("file")) << "precious";
    UnixServer other;
    EXPECT_FALSE(other.bind(socket("file"), 0600, static_cast<uid_t>(-1), static_cast<gid_t>(-1), error));
    EXPECT_TRUE(std::filesystem::is_regular_file(socket("file")));
}

TEST_F(ApiTest, ConnectionsAreLimitedAndIdleOnesDontBlockProbes) {
    RunningControl control(run_);
    const GoodDataplane good;
    FakeDataplane dataplane(run_.directory(), good);
    ASSERT_TRUE(dataplane_is_seen());
    std::vector<int> idle;
    for (unsigned i = 0; i < UnixServer::connections_max + 5; ++i) {
        const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        socket("viewer.sock").copy(address.sun_path, sizeof address.sun_path - 1);
        ASSERT_EQ(connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        idle.push_back(descriptor);
    }
    char text[16] = {};
    pollfd waiting{idle.back(), POLLIN, 0};
    ASSERT_EQ(poll(&waiting, 1, 5000), 1);
    ASSERT_GT(recv(idle.back(), text, sizeof text - 1, 0), 0);
    EXPECT_STREQ(text, "HTTP/1.1 503 Se");
    const unsigned before = *good.streams;
    EXPECT_TRUE(eventually([&] { return *good.streams > before + 4; }));
    EXPECT_EQ(client().get("/v1/status").status, 200) << "other sockets are not touched";
    for (const int descriptor : idle) close(descriptor);
}

// The peer writes these texts, also where it has no right to anything; the log is what an audit goes by.
TEST_F(ApiTest, RequestsCantForgeLinesOfTheLog) {
    std::ostringstream log;
    const auto before = spdlog::default_logger();
    spdlog::set_default_logger(
        std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
    {
        const RunningControl control(run_);  // its end waits for the log, which follows the answers
        EXPECT_EQ(client("viewer.sock").post("/v1/x%0Aforged%20path%22%1b[2J").status, 403);
        EXPECT_EQ(client("operator.sock").post("/v1/servers/quotes/a/drain", "\nforged body\"\xc2\x9b").status, 200);
    }
    spdlog::set_default_logger(before);
    const std::string text = log.str();
    EXPECT_NE(text.find("forged path"), std::string::npos) << text;
    EXPECT_NE(text.find("forged body"), std::string::npos) << text;
    EXPECT_EQ(text.find("\nforged"), std::string::npos) << text;
    EXPECT_EQ(text.find("path\""), std::string::npos) << text;
    EXPECT_EQ(text.find("body\""), std::string::npos) << text;
    for (const char c : text) EXPECT_TRUE(c == '\n' || (c >= ' ' && c < 0x7f)) << static_cast<int>(c);
}

TEST_F(ApiTest, TheHeadOfARequestIsLimited) {
    RunningControl control(run_);
    const int descriptor = connect_to(socket("viewer.sock"));
    ASSERT_GE(descriptor, 0);
    std::string text = "GET /v1/status HTTP/1.1\r\n";
    size_t sent = 0;
    pollfd answered{descriptor, POLLIN, 0};
    while (sent < (16u << 20) && poll(&answered, 1, 0) == 0) {
        const ssize_t size = send(descriptor, text.data(), text.size(), MSG_NOSIGNAL);
        if (size <= 0) break;
        sent += static_cast<size_t>(size);
        text = "a: b\r\n";
    }
    EXPECT_LT(sent, 1u << 20);
    close(descriptor);
}

TEST_F(ApiTest, ARequestMustBeWholeInTime) {
    RunningControl control(run_);
    const int descriptor = connect_to(socket("viewer.sock"));
    ASSERT_GE(descriptor, 0);
    const auto begin = std::chrono::steady_clock::now();
    pollfd answered{descriptor, POLLIN, 0};
    while (send(descriptor, "G", 1, MSG_NOSIGNAL) == 1 && poll(&answered, 1, 100) == 0 &&
           std::chrono::steady_clock::now() < begin + std::chrono::milliseconds(2 * UnixServer::request_timeout_ms)) {
    }
    EXPECT_LT(std::chrono::steady_clock::now(),
              begin + std::chrono::milliseconds(UnixServer::request_timeout_ms + 1500));
    close(descriptor);
}

// Nothing happens that they could be told.
TEST_F(ApiTest, FollowersThatHaveLeftGiveTheirPlacesBack) {
    RunningControl control(run_);
    const std::string request = "GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n";
    std::vector<int> followers;
    for (unsigned i = 0; i < UnixServer::connections_max; ++i) {
        followers.push_back(connect_to(socket()));
        char first;
        ASSERT_EQ(write(followers.back(), request.data(), request.size()), static_cast<ssize_t>(request.size()));
        ASSERT_EQ(recv(followers.back(), &first, 1, 0), 1);
    }
    EXPECT_NE(client().get("/v1/status").status, 200) << "no place";
    for (const int follower : followers) close(follower);
    EXPECT_TRUE(eventually([&] { return client().get("/v1/status").status == 200; }));
}

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

TEST_F(ApiTest, WithoutDescriptorsTheSocketWaitsAndThenServes) {
    UnixServer server;
    server.Get("/", [](const httplib::Request&, httplib::Response& response) { response.set_content("{}", "x/y"); });
    std::string error;
    ASSERT_TRUE(server.bind(socket("x.sock"), 0600, static_cast<uid_t>(-1), static_cast<gid_t>(-1), error)) << error;
    const int waiting = connect_to(socket("x.sock"));
    ASSERT_GE(waiting, 0);
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    const int lowest_free = dup(0);
    close(lowest_free);
    const rlimit none{static_cast<rlim_t>(lowest_free), before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
    const double begin = cpu_seconds();
    server.start();
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    const double used = cpu_seconds() - begin;
    setrlimit(RLIMIT_NOFILE, &before);
    close(waiting);
    EXPECT_LT(used, 0.1);
    EXPECT_EQ(client("x.sock").get("/").status, 200);
}

TEST_F(ApiTest, WithoutAThreadAClientIsTurnedAway) {
    UnixServer server;
    server.Get("/", [](const httplib::Request&, httplib::Response& response) { response.set_content("{}", "x/y"); });
    std::string error;
    ASSERT_TRUE(server.bind(socket("x.sock"), 0600, static_cast<uid_t>(-1), static_cast<gid_t>(-1), error)) << error;
    server.start();
    pthread_attr_t before, impossible;
    pthread_getattr_default_np(&before);
    pthread_attr_init(&impossible);
    pthread_attr_setstacksize(&impossible, size_t{1} << 46);
    ASSERT_EQ(pthread_setattr_default_np(&impossible), 0);
    const int refused = connect_to(socket("x.sock"));
    char text[16] = {};
    EXPECT_GT(recv(refused, text, sizeof text - 1, 0), 0);
    EXPECT_STREQ(text, "HTTP/1.1 503 Se");
    pthread_setattr_default_np(&before);
    close(refused);
    EXPECT_EQ(client("x.sock").get("/").status, 200);
}

}  // namespace
}  // namespace millrace::control::test
