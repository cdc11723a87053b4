// What the API tells an operator of the data path: TCP of a relay, pings, captures.
#include <atomic>
#include <thread>

#include "api_fixture.h"

namespace millrace::control::test {
namespace {

TEST_F(ApiTest, Pings) {
    RunningControl control(run_);
    EXPECT_EQ(client().post("/v1/ping", R"({"address":"198.18.0.10"})").status, 503);
    FakeDataplane dataplane(run_.directory(), GoodDataplane{});
    ASSERT_TRUE(dataplane_is_seen());
    const Answer answered = client("operator.sock").post("/v1/ping", R"({"address":"198.18.0.10","size":99})");
    EXPECT_EQ(answered.status, 200);
    EXPECT_EQ(answered.body["result"], "answered");
    EXPECT_EQ(answered.body["rtt_us"], 99) << "the size, here";
    EXPECT_EQ(answered.body["interface"], "front");
    EXPECT_EQ(answered.body["source"], "198.18.0.1");
    const Answer silent = client().post("/v1/ping", R"({"address":"198.18.0.11"})");
    EXPECT_EQ(silent.body["result"], "no_neighbour");
    EXPECT_TRUE(silent.body["rtt_us"].is_null());
    EXPECT_EQ(client("viewer.sock").post("/v1/ping", R"({"address":"198.18.0.10"})").status, 403);
    for (const char* bad : {"", "[]", "{}", R"({"address":"example"})", R"({"address":"198.18.0.10","size":1473})",
                            R"({"address":"198.18.0.10","size":7})", R"({"address":"198.18.0.10","size":"9"})",
                            R"({"address":"198.18.0.10","timeout_ms":5001})"})
        EXPECT_EQ(client().post("/v1/ping", bad).status, 400) << bad;
}

TEST_F(ApiTest, CapturesAreAStreamOfPcapInTheOrderOfTime) {
    RunningControl control(run_);
    EXPECT_EQ(client().get("/v1/capture").body["running"], false);
    EXPECT_EQ(client().get("/v1/capture/frames").status, 503);
    const GoodDataplane good{.captured_frames = 3};
    FakeDataplane dataplane(run_.directory(), good);
    ASSERT_TRUE(dataplane_is_seen());
    for (const char* socket : {"viewer.sock", "operator.sock"})
        EXPECT_EQ(client(socket).get("/v1/capture/frames").status, 403) << "payload may be plain text";
    EXPECT_EQ(client().get("/v1/capture/frames?filter=nonsense").status, 400);
    EXPECT_EQ(client().get("/v1/capture/frames?seconds=301").status, 400);
    ApiClient admin = client();
    const httplib::Result result = admin.http().Get("/v1/capture/frames?seconds=1&filter=tcp%20and%20port%2080");
    ASSERT_TRUE(result);
    ASSERT_EQ(result->status, 200);
    ASSERT_EQ(result->body.size(), 24u + 6 * (16 + 8));
    uint32_t words[6];
    std::memcpy(words, result->body.data(), sizeof words);
    EXPECT_EQ(words[0], 0xa1b2c3d4u);
    EXPECT_EQ(words[5], 1u) << "Ethernet";
    uint64_t last = 0;
    for (size_t i = 0; i < 6; ++i) {
        uint32_t record[4];
        std::memcpy(record, result->body.data() + 24 + i * 24, sizeof record);
        EXPECT_EQ(record[2], 8u);
        EXPECT_EQ(record[3], 60u);
        const uint64_t time_us = record[0] * uint64_t{1'000'000} + record[1];
        EXPECT_GE(time_us, last);
        last = time_us;
        EXPECT_EQ(result->body[24 + i * 24 + 16], i < 3 ? 2 : 1) << "worker";
    }
    const json status = client("viewer.sock").get("/v1/capture").body;
    EXPECT_EQ(status["running"], false);
    EXPECT_EQ(status["frames"], 6);
    EXPECT_EQ(status["dropped"], 10);
    EXPECT_EQ(status["filter"], "tcp and port 80");
    EXPECT_EQ(*good.captures_stopped, 2u);
}

TEST_F(ApiTest, CapturesAreOneAtATimeAndEndWithTheirReader) {
    RunningControl control(run_);
    const GoodDataplane good{.captured_frames = 1};
    auto dataplane = std::make_unique<FakeDataplane>(run_.directory(), good);
    ASSERT_TRUE(dataplane_is_seen());
    const auto running = [&] { return client().get("/v1/capture").body["running"] == true; };
    {
        std::thread reader([&] {
            ApiClient admin = client();
            admin.http().Get("/v1/capture/frames?seconds=60", [](const char*, size_t) { return true; });
        });
        const auto from_both_workers = [&] { return client().get("/v1/capture").body["frames"] == 2; };
        EXPECT_TRUE(eventually(from_both_workers));
        const Answer second = client().get("/v1/capture/frames");
        EXPECT_EQ(second.status, 409);
        EXPECT_NE(second.body["error"].get<std::string>().find("a capture runs already"), std::string::npos);
        dataplane->stop();  // killed: ends the capture too
        reader.join();
    }
    EXPECT_TRUE(eventually([&] { return !running(); }));
    EXPECT_EQ(client().get("/v1/capture").body["end"], "the dataplane went away");
    dataplane = std::make_unique<FakeDataplane>(run_.directory(), good);
    ASSERT_TRUE(dataplane_is_seen());

    const int descriptor = connect_to(socket());
    const std::string request = "GET /v1/capture/frames?seconds=60 HTTP/1.1\r\nHost: x\r\n\r\n";
    ASSERT_EQ(write(descriptor, request.data(), request.size()), static_cast<ssize_t>(request.size()));
    EXPECT_TRUE(eventually(running));
    close(descriptor);
    EXPECT_TRUE(eventually([&] { return !running(); })) << "the reader is gone";
    EXPECT_EQ(client().get("/v1/capture").body["end"], "its reader went away");
    const Answer counted = client().get("/v1/capture/frames?count=2");
    EXPECT_EQ(counted.status, 200);
    EXPECT_EQ(client().get("/v1/capture").body["end"], "so many frames came");
    EXPECT_EQ(client().get("/v1/capture").body["frames"], 2);
}

TEST_F(ApiTest, TcpOfOneConnection) {
    RunningControl control(run_);
    EXPECT_EQ(client().get("/v1/connections/0000000000000abc/tcp").status, 503);
    FakeDataplane dataplane(run_.directory(), GoodDataplane{});
    ASSERT_TRUE(dataplane_is_seen());
    const Answer found = client("viewer.sock").get("/v1/connections/0000000000000abc/tcp");
    ASSERT_EQ(found.status, 200);
    EXPECT_EQ(found.body["connection_id"], "0000000000000abc");
    EXPECT_EQ(found.body["worker"], 1);
    const json& tcp = found.body["tcp"];
    EXPECT_TRUE(tcp["server"].is_null());
    EXPECT_EQ(tcp["client"]["state"], "established");
    EXPECT_EQ(tcp["client"]["timer"], "unknown") << "of a newer or mad dataplane";
    EXPECT_EQ(tcp["client"]["sack"], true);
    EXPECT_EQ(tcp["client"]["ecn"], false);
    EXPECT_EQ(tcp["client"]["cwnd_bytes"], 14'600);
    EXPECT_TRUE(tcp["client"]["ssthresh_bytes"].is_null());
    EXPECT_TRUE(tcp["client"]["srtt_us"].is_null());
    EXPECT_EQ(client().get("/v1/connections/0000000000000abd/tcp").status, 404);
    EXPECT_EQ(client().get("/v1/connections/abc/tcp").status, 404);
}

}  // namespace
}  // namespace millrace::control::test
