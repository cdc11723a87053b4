// Keys that are brought to the dataplane: what is taken, what is refused, and what becomes of the contexts.
#include "dataplane/app/key_receiver.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <millrace/key_socket.h>

#include "app/run_directory.h"
#include "config/compiled.h"
#include "dataplane/app/pool_handshakes.h"
#include "tests/unit/tls/handshake/peer.h"

namespace millrace::app {
namespace {

using tls::BackendKeys;
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
    std::string bring_backends(const std::vector<BackendKeys>& backends, uint64_t generation = 0) {
        std::string error;
        return bring(make_sealed_file(tls::to_text({.generation = generation, .backends = backends}), error));
    }
    static BackendKeys backend_keys(uint16_t slot, const std::string& server_name = "") {
        return {.backend = "quotes", .slot = slot, .ca_pem = tls::authority_pem(), .server_name = server_name};
    }
    /// What a handshake with a server that begins now says first; empty when it can't begin.
    std::string hello_to(uint16_t backend_slot, uint16_t server_slot) {
        PoolHandshakes handshakes(pool_, {.workers = 1, .threads = 1, .seats = 4}, 0);
        const auto seat = handshakes.open_to({backend_slot, server_slot, millrace::IpAddress::v4(198, 18, 1, 10)});
        handshakes.submit(*seat);
        EXPECT_TRUE(pool_.serve(0));
        EXPECT_EQ(handshakes.poll(), seat);
        const PoolHandshakes::Answer answer = handshakes.answer(*seat);
        EXPECT_EQ(answer.state == PoolHandshakes::State::failed, answer.output.empty());
        EXPECT_FALSE(answer.ticket_wanted);
        const std::string hello(answer.output.begin(), answer.output.end());
        handshakes.close(*seat);
        while (pool_.serve(0)) handshakes.poll();
        return hello;
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
    struct Shaken {
        bool resumed;
        tls::Owned<SSL_SESSION> session;
    };
    /// A client's whole handshake, which offers to resume `session`.
    Shaken shake(uint16_t number, SSL_SESSION* session = nullptr) {
        tls::Peer client(false);
        if (session != nullptr) SSL_set_session(client.ssl(), session);
        const auto seat = pool_.open(0, number, 0);
        auto state = tls::Handshake::State::under_way;
        while (state == tls::Handshake::State::under_way) {
            client.step();
            pool_.put(0, *seat, client.output());
            pool_.submit(0, *seat);
            EXPECT_TRUE(pool_.serve(0));
            EXPECT_EQ(pool_.poll(0), seat);
            state = pool_.answer(0, *seat).state;
            client.take(pool_.answer(0, *seat).output);
        }
        EXPECT_EQ(state, tls::Handshake::State::done);
        client.step();
        client.read();  // the ticket
        const bool resumed = pool_.answer(0, *seat).resumed;
        pool_.close(0, *seat);
        while (pool_.serve(0)) pool_.poll(0);
        SSL_set_shutdown(client.ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // else it is not resumable
        return {resumed, tls::Owned<SSL_SESSION>(SSL_get1_session(client.ssl()))};
    }
    /// The sample, with TLS for its first listener.
    void in_force(uint64_t generation) {
        SnapshotBuilder builder = millrace::test::sample_snapshot();
        builder.dataplane.crypto_threads = 1;
        builder.dataplane.tls_handshakes_max = 4;
        builder.listeners[0].tls = builder.backends[0].tls = 1;
        builder.listeners[0].handshake_timeout_ms = builder.backends[0].handshake_timeout_ms = 1000;
        const std::vector<std::byte> bytes = builder.build(generation);
        SnapshotView view;
        std::string error;
        ASSERT_TRUE(view.open(bytes, error)) << error;
        receiver_->in_force(view);
    }

    const uint16_t slot_ = millrace::test::sample_snapshot().listeners[0].slot;
    const uint16_t backend_slot_ = millrace::test::sample_snapshot().backends[0].slot;
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

TEST_F(KeyReceiverTest, TakesWhatServersAreKnownBy) {
    EXPECT_EQ(hello_to(3, 1), "");
    EXPECT_EQ(bring_backends({backend_keys(3, "quotes.test")}), "ok");
    EXPECT_TRUE(receiver_->wait(0)) << "they are all that this configuration needs";
    EXPECT_NE(hello_to(3, 1).find("quotes.test"), std::string::npos);
    EXPECT_EQ(hello_to(4, 1), "");
    EXPECT_FALSE(has_context(3)) << "slots of listeners are others";
}

TEST_F(KeyReceiverTest, RefusesWhatServersCanNotBeKnownBy) {
    BackendKeys bad = backend_keys(3);
    bad.ca_pem = "nothing of the kind";
    EXPECT_EQ(bring_backends({bad}).find("backend 'quotes': CA: "), 0u);
    EXPECT_EQ(bring_backends({backend_keys(backend_slot_max)}), "backend 'quotes': there is no such slot");
    EXPECT_EQ(bring({keys(listener_slot_max)}), "listener 'wss': there is no such slot");
    EXPECT_FALSE(receiver_->wait(0));
}

TEST_F(KeyReceiverTest, ServersWaitForTheirConfigurationUnlessTheyAreNew) {
    in_force(1);
    BackendKeys now = backend_keys(backend_slot_), next = now;
    now.servers = {{.slot = 1, .name = "a", .host = "a.test"}};
    next.servers = {{.slot = 1, .name = "a", .host = "changed.test"}, {.slot = 2, .name = "b", .host = "b.test"}};
    EXPECT_EQ(bring_backends({now}, 1), "ok");
    EXPECT_EQ(bring_backends({next}, 2), "ok");
    EXPECT_NE(hello_to(backend_slot_, 1).find("a.test"), std::string::npos);
    EXPECT_NE(hello_to(backend_slot_, 2).find("b.test"), std::string::npos) << "workers may reach for it a bit earlier";
    in_force(2);
    EXPECT_NE(hello_to(backend_slot_, 1).find("changed.test"), std::string::npos);
}

TEST_F(KeyReceiverTest, ForgetsBackendsThatAreGone) {
    EXPECT_EQ(bring_backends({backend_keys(backend_slot_, "quotes.test"), backend_keys(99, "gone.test")}), "ok");
    in_force(1);
    EXPECT_NE(hello_to(backend_slot_, 1), "");
    EXPECT_EQ(hello_to(99, 1), "");
}

TEST_F(KeyReceiverTest, SessionsOutliveAReload) {
    EXPECT_EQ(bring({keys(3)}), "ok");
    const Shaken first = shake(3);
    EXPECT_FALSE(first.resumed);
    EXPECT_EQ(bring({keys(3)}), "ok");
    EXPECT_TRUE(shake(3, first.session.get()).resumed);
}

TEST_F(KeyReceiverTest, TicketKeysWaitForTheirConfiguration) {
    in_force(1);
    ListenerKeys from_file = keys(slot_);
    from_file.ticket_keys = std::string(tls::ticket_key_bytes, 'k');
    EXPECT_EQ(bring({from_file}, 1), "ok");
    const Shaken first = shake(slot_);
    from_file.ticket_keys = std::string(tls::ticket_key_bytes, 'n');
    EXPECT_EQ(bring({from_file}, 2), "ok");
    EXPECT_TRUE(shake(slot_, first.session.get()).resumed) << "a configuration that may be refused changes nothing";
    in_force(2);
    EXPECT_FALSE(shake(slot_, first.session.get()).resumed);
}

TEST_F(KeyReceiverTest, SessionsEndWithTheTicketKeysOfAFile) {
    ListenerKeys from_file = keys(3);
    from_file.ticket_keys = std::string(tls::ticket_key_bytes, 'k');
    EXPECT_EQ(bring({from_file}), "ok");
    const Shaken first = shake(3);
    EXPECT_TRUE(shake(3, first.session.get()).resumed);
    EXPECT_EQ(bring({keys(3)}), "ok");
    EXPECT_FALSE(shake(3, first.session.get()).resumed) << "the file was taken away";
}

}  // namespace
}  // namespace millrace::app
