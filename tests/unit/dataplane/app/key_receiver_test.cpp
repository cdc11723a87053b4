// Keys that are brought to the dataplane: what is taken, what is refused, and what becomes of the contexts.
#include "dataplane/app/key_receiver.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <millrace/key_socket.h>

#include "app/run_directory.h"
#include "config/compiled.h"
#include "tests/unit/tls/handshake/pki.h"

namespace millrace::app {
namespace {

using tls::KeyKind;
using tls::ListenerKeys;

class KeyReceiverTest : public test::RunDirectoryTest {
  protected:
    KeyReceiverTest() : pool_({.workers = 1, .threads = 1, .seats = 4}) {
        for (const std::string& folder : {path(""), control_path("")}) std::filesystem::create_directories(folder);
        receiver_ = std::make_unique<KeyReceiver>(pool_, base_ + "/test/dataplane", base_ + "/test/control");
        std::string error;
        EXPECT_TRUE(receiver_->start(error)) << error;
    }
    ~KeyReceiverTest() override { receiver_.reset(); }

    /// Brings a file (or none), and returns the answer.
    std::string bring(int file) {
        const int socket = connect_to_key_socket(base_ + "/test/dataplane");
        EXPECT_GE(socket, 0);
        EXPECT_TRUE(file < 0 ? send(socket, "k", 1, 0) == 1 : send_file(socket, file));
        std::string answer(key_answer_bytes_max, 0);
        const ssize_t length = recv(socket, answer.data(), answer.size(), 0);
        answer.resize(static_cast<size_t>(std::max<ssize_t>(length, 0)));
        close(socket);
        if (file >= 0) close(file);
        return answer;
    }
    std::string bring(const std::vector<ListenerKeys>& listeners, uint64_t generation = 0) {
        std::string error;
        return bring(make_sealed_file(tls::to_text({generation, listeners}), error));
    }
    static ListenerKeys keys(uint16_t slot) {
        return {.listener = "wss", .slot = slot, .context = {.identities = {tls::identity(KeyKind::ecdsa)}}};
    }
    /// Whether a handshake that begins now has certificates.
    bool has_context(uint16_t slot) {
        const auto seat = pool_.open(0, slot, 0);
        const std::vector<uint8_t> start{0x16, 0x03, 0x01, 0x00, 0x40, 0x01};
        pool_.put(0, *seat, start);
        pool_.submit(0, *seat);
        EXPECT_TRUE(pool_.serve(0));
        EXPECT_EQ(pool_.poll(0), seat);
        const bool has = pool_.answer(0, *seat).state == tls::Handshake::State::under_way;
        pool_.close(0, *seat);
        while (pool_.serve(0)) pool_.poll(0);
        return has;
    }

    /// Whether a client of TLS 1.2 gets a ServerHello.
    bool takes_tls12(uint16_t number) {
        std::string error;
        tls::Handshake hello(
            std::shared_ptr<const tls::Context>(tls::Context::client({.version_max = tls::Version::tls12}, error)), {});
        std::vector<uint8_t> words;
        hello.step({}, words);
        const auto seat = pool_.open(0, number, 0);
        pool_.put(0, *seat, words);
        pool_.submit(0, *seat);
        EXPECT_TRUE(pool_.serve(0));
        EXPECT_EQ(pool_.poll(0), seat);
        const bool takes = pool_.answer(0, *seat).state == tls::Handshake::State::under_way;
        pool_.close(0, *seat);
        while (pool_.serve(0)) pool_.poll(0);
        return takes;
    }
    /// The sample, with TLS for its first listener.
    void in_force(uint64_t generation) {
        SnapshotBuilder builder = millrace::test::sample_snapshot();
        builder.dataplane.crypto_threads = 1;
        builder.dataplane.tls_handshakes_max = 4;
        builder.listeners[0].tls = 1;
        builder.listeners[0].handshake_timeout_ms = 1000;
        const std::vector<std::byte> bytes = builder.build(generation);
        SnapshotView view;
        std::string error;
        ASSERT_TRUE(view.open(bytes, error)) << error;
        receiver_->in_force(view);
    }

    const uint16_t slot_ = millrace::test::sample_snapshot().listeners[0].slot;
    tls::Pool pool_;
    std::unique_ptr<KeyReceiver> receiver_;
};

TEST_F(KeyReceiverTest, TakesWhatControlBrings) {
    EXPECT_FALSE(receiver_->wait(10));
    EXPECT_FALSE(has_context(3));
    EXPECT_EQ(bring({keys(3), keys(4)}), "ok");
    EXPECT_TRUE(receiver_->wait(0));
    EXPECT_TRUE(has_context(3) && has_context(4));
    EXPECT_FALSE(has_context(5));
}

TEST_F(KeyReceiverTest, ADeliveryIsTakenWholeOrNotAtAll) {
    ListenerKeys bad = keys(4);
    bad.context.identities[0].key_pem = "nothing of the kind";
    const std::string answer = bring({keys(3), bad});
    EXPECT_EQ(answer.find("listener 'wss': private key: "), 0u) << answer;
    EXPECT_FALSE(has_context(3) || has_context(4));
    EXPECT_FALSE(receiver_->wait(0));
}

TEST_F(KeyReceiverTest, RefusesWhatIsNoBundle) {
    EXPECT_EQ(bring(-1), "no file came");
    std::string error;
    EXPECT_EQ(bring(make_sealed_file("{", error)).find("no bundle of keys: "), 0u);
    EXPECT_EQ(bring(open("/dev/null", O_RDONLY | O_CLOEXEC)), "the file of keys is not sealed");
    EXPECT_EQ(bring({keys(1)}), "ok") << "the next one is served";
}

TEST_F(KeyReceiverTest, ForgetsListenersThatAreGone) {
    EXPECT_EQ(bring({keys(slot_), keys(99)}), "ok");
    in_force(1);
    EXPECT_TRUE(has_context(slot_));
    EXPECT_FALSE(has_context(99));
}

TEST_F(KeyReceiverTest, KeysWaitForTheirConfiguration) {
    in_force(1);
    ListenerKeys refusing = keys(slot_);  // told apart by what it says to a hello that is none
    EXPECT_EQ(bring({keys(slot_)}, 1), "ok");
    refusing.context.version_min = tls::Version::tls13;
    EXPECT_EQ(bring({refusing, keys(98)}, 2), "ok");
    EXPECT_TRUE(takes_tls12(slot_)) << "a configuration that may be refused changes nothing";
    EXPECT_TRUE(has_context(98)) << "nobody else needs that slot_";
    in_force(1);
    EXPECT_TRUE(takes_tls12(slot_) && has_context(98));
    in_force(2);
    EXPECT_FALSE(takes_tls12(slot_));
}

}  // namespace
}  // namespace millrace::app
