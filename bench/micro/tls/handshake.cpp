// What a handshake costs a server's crypto thread, from the first byte to the keys in the slot: the client's part is
// not counted. Full (X25519, P-256 certificate, one ticket) and resumed. Reports handshakes a second of one thread.
#include "tls/handshake/handshake.h"

#include <benchmark/benchmark.h>
#include <chrono>
#include <optional>
#include <stdexcept>

#include "tests/unit/tls/handshake/pki.h"

namespace millrace::tls {
namespace {

using Clock = std::chrono::steady_clock;

/// A client of OpenSSL's and our server, with the time that the server took.
struct Pair {
    Pair(const std::shared_ptr<const Context>& server, SSL_CTX* client_context, SSL_SESSION* session)
        : client(SSL_new(client_context)), in(BIO_new(BIO_s_mem())), out(BIO_new(BIO_s_mem())) {
        BIO_set_mem_eof_return(in, -1);
        SSL_set_bio(client.get(), in, out);
        SSL_set_connect_state(client.get());
        if (session != nullptr) SSL_set_session(client.get(), session);
        const auto start = Clock::now();
        handshake.emplace(server, HandshakeSettings{});
        spent = Clock::now() - start;
    }
    ~Pair() {
        SSL_set_shutdown(client.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }  // else it forbids resumption

    /// False when it failed.
    bool run(Crypto& crypto, Slot& slot) {
        while (handshake->state() == Handshake::State::under_way) {
            SSL_do_handshake(client.get());
            const Bytes bytes = pending(out);
            if (bytes.empty()) return false;
            std::vector<uint8_t> answer;
            const auto start = Clock::now();
            handshake->step(bytes, answer);
            spent += Clock::now() - start;
            BIO_reset(out);
            BIO_write(in, answer.data(), static_cast<int>(answer.size()));
        }
        std::vector<uint8_t> leftover;
        const auto start = Clock::now();
        const bool done = handshake->hand_over(crypto, slot, leftover);
        handshake.reset();
        spent += Clock::now() - start;
        return done;
    }
    /// Of this connection, once its ticket has been read.
    Owned<SSL_SESSION> ticket() {
        uint8_t none;
        SSL_read(client.get(), &none, 1);
        return Owned<SSL_SESSION>(SSL_get1_session(client.get()));
    }

    Owned<SSL> client;
    BIO *in, *out;
    std::optional<Handshake> handshake;
    Clock::duration spent;
};

void server_handshake(benchmark::State& state) {
    const auto version = static_cast<Version>(state.range(0));
    const bool resume = state.range(1) != 0;
    std::string error;
    const std::shared_ptr<const Context> server = Context::server(
        {.identities = {identity(KeyKind::ecdsa)}, .version_min = version, .version_max = version, .groups = "X25519"},
        error);
    const Owned<SSL_CTX> client(SSL_CTX_new(TLS_client_method()));
    Crypto crypto;
    Slot slot;
    Owned<SSL_SESSION> session;
    if (resume) {
        Pair first(server, client.get(), nullptr);
        if (!first.run(crypto, slot)) state.SkipWithError("the first handshake failed");
        session = first.ticket();
    }
    for (auto _ : state) {
        Pair pair(server, client.get(), session.get());
        if (!pair.run(crypto, slot)) state.SkipWithError("a handshake failed");
        state.SetIterationTime(std::chrono::duration<double>(pair.spent).count());
        if (resume && SSL_session_reused(pair.client.get()) != 1) state.SkipWithError("it was not resumed");
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(server_handshake)
    ->ArgNames({"version", "resumed"})
    ->Args({2, 0})
    ->Args({2, 1})
    ->Args({1, 0})
    ->Args({1, 1})
    ->UseManualTime();

}  // namespace
}  // namespace millrace::tls
