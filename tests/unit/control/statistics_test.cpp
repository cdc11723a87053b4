// Reading a self-describing stats file: sums, histograms, newer and hostile writers.
#include "control/statistics.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fake_dataplane.h"
#include "temp_run.h"

namespace millrace::control::test {
namespace {

class StatisticsTest : public testing::Test {
  protected:
    StatisticsTest() : file_(make_fake_stats(run_.directory(), 2)) {}
    StatsHeader& header() { return *reinterpret_cast<StatsHeader*>(file_.data()); }
    StatDescriptor& descriptor(size_t i) { return const_cast<StatDescriptor*>(stat_descriptors(file_.data()))[i]; }
    FakeLayout::Server& server(uint32_t worker, uint32_t slot) {
        return *reinterpret_cast<FakeLayout::Server*>(file_.data() + header().worker_offset +
                                                      worker * header().worker_stride + header().scopes[3].offset +
                                                      slot * header().scopes[3].stride);
    }
    bool opens() {
        Statistics statistics;
        return statistics.open(file_, error_);
    }

    TempRun run_;
    SharedFile file_;
    std::string error_;
};

TEST_F(StatisticsTest, AddsUpOverTheWorkers) {
    server(0, 5).open = 3;
    server(1, 5).open = 4;
    server(1, 6).open = 100;
    Statistics statistics;
    ASSERT_TRUE(statistics.open(file_, error_)) << error_;
    EXPECT_EQ(statistics.sum(StatScope::server, 5, "open"), 7u);
    EXPECT_EQ(statistics.sum(StatScope::server, 5, "no_such_value"), std::nullopt);
    EXPECT_EQ(statistics.sum(StatScope::server, server_slot_max, "open"), std::nullopt);
    EXPECT_EQ(statistics.values(StatScope::server, 6)["open"], 100);
    EXPECT_EQ(statistics.worker_values(2), nlohmann::json::object());
    EXPECT_EQ(statistics.descriptors().size(), fake_descriptors.size());
}

TEST_F(StatisticsTest, Histograms) {
    server(0, 1).connect_time[10] = 90;  // 512…1023
    server(1, 1).connect_time[12] = 10;  // 2048…4095
    Statistics statistics;
    ASSERT_TRUE(statistics.open(file_, error_));
    const auto json = statistics.values(StatScope::server, 1)["connect_time"];
    EXPECT_EQ(json["count"], 100);
    EXPECT_GE(json["p50"], 512);
    EXPECT_LT(json["p50"], 1024);
    EXPECT_LT(json["p90"], 1024);
    EXPECT_GE(json["p99"], 2048);
    EXPECT_LT(json["p99"], 4096);
    const uint64_t empty[histogram_bucket_count] = {};
    EXPECT_EQ(histogram_percentile(empty, 0.5), 0u);
    uint64_t zeros[histogram_bucket_count] = {5};
    EXPECT_EQ(histogram_percentile(zeros, 0.99), 0u);
}

TEST_F(StatisticsTest, LeavesOutWhatANewerDataplaneAdds) {
    descriptor(0).kind = static_cast<StatKind>(9);
    descriptor(1).scope = static_cast<StatScope>(9);
    Statistics statistics;
    ASSERT_TRUE(statistics.open(file_, error_)) << error_;
    EXPECT_EQ(statistics.descriptors().size(), fake_descriptors.size() - 2);
}

TEST_F(StatisticsTest, RefusesAnythingOutsideTheFile) {
    ASSERT_TRUE(opens()) << error_;
    const auto refuses = [&](auto& field, auto value) {
        const auto before = field;
        field = value;
        const bool refused = !opens();
        field = before;
        return refused;
    };
    EXPECT_TRUE(refuses(header().worker_count, 0u));
    EXPECT_TRUE(refuses(header().worker_count, 3u));
    EXPECT_TRUE(refuses(header().worker_count, ~0u));
    EXPECT_TRUE(refuses(header().descriptor_count, ~0u));
    EXPECT_TRUE(refuses(header().worker_offset, ~uint64_t{7}));
    EXPECT_TRUE(refuses(header().worker_offset, header().worker_offset + 8));
    EXPECT_TRUE(refuses(header().worker_offset, header().worker_offset - 4));
    EXPECT_TRUE(refuses(header().worker_stride, uint64_t{1} << 63));
    EXPECT_TRUE(refuses(header().worker_stride, uint64_t{1} << 39));
    EXPECT_TRUE(refuses(header().scopes[3].slots, ~0u));
    EXPECT_TRUE(refuses(header().scopes[3].stride, ~7u));
    EXPECT_TRUE(refuses(header().scopes[3].offset, ~uint64_t{7}));
    EXPECT_TRUE(refuses(header().scopes[2].stride, 0u)) << "no room for its values";
    EXPECT_TRUE(refuses(header().scopes[3],
                        StatScopeLayout{.offset = (uint64_t{9} << 32) - 8, .stride = 0u - 8u, .slots = ~0u}))
        << "the end of the scope wraps around";
    EXPECT_TRUE(refuses(descriptor(0).offset, 4u));
    EXPECT_TRUE(refuses(descriptor(0).offset, ~7u));
    EXPECT_TRUE(refuses(descriptor(0).kind, StatKind::histogram));
    EXPECT_TRUE(opens()) << error_;
    std::memset(descriptor(0).name, 'x', sizeof descriptor(0).name);
    std::memset(header().config_error, 'y', sizeof header().config_error);
    Statistics statistics;
    ASSERT_TRUE(statistics.open(file_, error_));
    EXPECT_EQ(statistics.config_error().size(), sizeof header().config_error);
}

}  // namespace
}  // namespace millrace::control::test
