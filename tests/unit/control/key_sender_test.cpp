// How keys get to a dataplane that is there, that comes later, that comes anew, and that refuses them. The test plays
// the dataplane.
#include "control/key_sender.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include <millrace/key_socket.h>

#include "temp_run.h"

namespace millrace::control::test {
namespace {

tls::KeyBundle keys_of(const std::string& name) {
    return {1, {{.listener = name, .slot = 1, .context = {.identities = {{"a chain", "a key"}}}}}};
}

class KeySenderTest : public testing::Test {
  protected:
    ~KeySenderTest() override { stop_dataplane(); }

    /// Listens, and answers each delivery.
    void start_dataplane(const std::string& answer = "ok") {
        std::string error;
        server_ = listen_at_key_socket(directory_, error);
        ASSERT_GE(server_, 0) << error;
        thread_ = std::thread([this, answer] {
            for (int client; (client = accept4(server_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
                const int file = receive_file(client);
                std::string text, ignored;
                if (file >= 0 && read_sealed_file(file, text, ignored)) got_.push_back(text);
                if (file >= 0) close(file);
                send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
                close(client);
            }
        });
    }
    void stop_dataplane() {
        if (server_ < 0) return;
        shutdown(server_, SHUT_RDWR);
        thread_.join();
        close(std::exchange(server_, -1));
        unlink((directory_ + '/' + std::string(key_socket_name)).c_str());
    }

    TempRun run_;
    const std::string directory_ = run_directory("test", RunPart::dataplane);
    KeySender sender_{directory_};
    int server_ = -1;
    std::thread thread_;
    std::vector<std::string> got_;  // looked at when the thread has ended
    std::string error_;
    uint64_t now_us_ = 5;
};

TEST_F(KeySenderTest, GivesThemAtOnceAndNotTwice) {
    start_dataplane();
    EXPECT_TRUE(sender_.set(keys_of("a"), error_)) << error_;
    EXPECT_TRUE(sender_.set(keys_of("a"), error_)) << error_;
    sender_.follow(now_us_);
    EXPECT_TRUE(sender_.set(keys_of("b"), error_)) << error_;
    stop_dataplane();
    EXPECT_EQ(got_, (std::vector{tls::to_text(keys_of("a")), tls::to_text(keys_of("b"))}));
}

TEST_F(KeySenderTest, GivesThemToADataplaneThatComes) {
    EXPECT_TRUE(sender_.set(keys_of("a"), error_)) << "nobody is there who could refuse them";
    sender_.follow(now_us_);
    for (size_t turn = 1; turn <= 2; ++turn) {
        start_dataplane();
        sender_.follow(now_us_);
        sender_.follow(now_us_);
        stop_dataplane();
        EXPECT_EQ(got_.size(), turn);
    }
}

TEST_F(KeySenderTest, BackendsAloneAreReasonEnough) {
    const tls::KeyBundle keys{.generation = 1, .backends = {{.backend = "quotes", .slot = 2, .ca_pem = "a CA"}}};
    start_dataplane();
    EXPECT_TRUE(sender_.set(keys, error_)) << error_;
    stop_dataplane();
    EXPECT_EQ(got_, std::vector{tls::to_text(keys)});
}

TEST_F(KeySenderTest, NothingIsGivenWhereNothingIsNeeded) {
    start_dataplane();
    EXPECT_TRUE(sender_.set({}, error_));
    sender_.follow(now_us_);
    stop_dataplane();
    EXPECT_TRUE(got_.empty());
}

TEST_F(KeySenderTest, WhatIsRefusedIsForgotten) {
    start_dataplane();
    EXPECT_TRUE(sender_.set(keys_of("a"), error_)) << error_;
    stop_dataplane();
    start_dataplane("listener 'b': bad");
    sender_.follow(now_us_);
    EXPECT_FALSE(sender_.set(keys_of("b"), error_));
    EXPECT_EQ(error_, "the dataplane refused the certificates and keys: listener 'b': bad");
    stop_dataplane();
    start_dataplane();
    sender_.follow(now_us_);
    stop_dataplane();
    EXPECT_EQ(got_.back(), tls::to_text(keys_of("a")));
}

TEST_F(KeySenderTest, WhoRefusesThemIsAskedAgainASecondLater) {
    EXPECT_TRUE(sender_.set(keys_of("a"), error_));
    start_dataplane("not now");
    sender_.follow(now_us_);
    sender_.follow(now_us_ + 900'000);
    sender_.follow(now_us_ + 1'100'000);
    stop_dataplane();
    EXPECT_EQ(got_.size(), 2u);
}

}  // namespace
}  // namespace millrace::control::test
