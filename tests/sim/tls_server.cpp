#include "tests/sim/tls_server.h"

#include <gtest/gtest.h>

#include "dataplane/http/accept_key.h"
#include "tests/sim/http_text.h"
#include "tests/sim/load_node.h"

namespace millrace::sim {
namespace {

constexpr MacAddress server_mac{{2, 0, 0, 0, 0, 0x90}};
constexpr uint8_t key_update_type = 24;

}  // namespace

TlsSession::TlsSession(Host& host, SocketId socket, tls::Version version) : host_(host), socket_(socket) {
    const int number = version == tls::Version::tls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
    SSL_CTX_set_min_proto_version(peer_.context(), number);
    SSL_CTX_set_max_proto_version(peer_.context(), number);
    use_ticket_key(1);
    SSL_CTX_set_msg_callback(peer_.context(), on_message);
    SSL_CTX_set_msg_callback_arg(peer_.context(), this);
    SSL_CTX_set_info_callback(peer_.context(), on_info);
    SSL_set_app_data(ssl(), this);
}

void TlsSession::use_ticket_key(unsigned char key) {
    std::array<unsigned char, 80> keys{key};
    SSL_CTX_set_tlsext_ticket_keys(peer_.context(), keys.data(), keys.size());
}

void TlsSession::on_message(int written, int, int type, const void* bytes, size_t, SSL*, void* self) {
    if (written == 0 && type == SSL3_RT_HANDSHAKE && *static_cast<const uint8_t*>(bytes) == key_update_type)
        ++static_cast<TlsSession*>(self)->key_updates;
}

void TlsSession::on_info(const SSL* ssl, int where, int value) {
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT)
        static_cast<TlsSession*>(SSL_get_app_data(ssl))->alert = value & 0xff;
}

void TlsSession::take(std::span<const uint8_t> bytes) {
    peer_.take(bytes);
    say_early();
    if (peer_.step()) {
        const std::string text = peer_.read();
        if (!upgraded) {
            head_ += text;
            read_request();
        } else {
            const std::span<const uint8_t> frames(reinterpret_cast<const uint8_t*>(text.data()), text.size());
            EXPECT_TRUE(load::read_frames(reader_, frames, true, [&](const load::ReadFrame& frame) {
                EXPECT_EQ(frame.kind, load::ReadFrame::Kind::message);
                load::Message reply = frame.message;
                load::seal(reply, load::Kind::reply);
                std::string out(reply.length + ws::frame_header_bytes_max, '\0');
                out.resize(load::write_message(reply, nullptr, {reinterpret_cast<uint8_t*>(out.data()), out.size()}));
                write(out);
            }));
        }
    }
    flush();
}

void TlsSession::say_early() {
    if (early_.empty()) return;
    size_t length = 0;
    char nothing[1];
    EXPECT_EQ(SSL_read_early_data(ssl(), nothing, sizeof nothing, &length), SSL_READ_EARLY_DATA_FINISH);
    EXPECT_EQ(SSL_write_early_data(ssl(), early_.data(), early_.size(), &length), 1);
    early_.clear();
}

void TlsSession::read_request() {
    if (head_length(head_) == 0) return;
    upgraded = true;
    const http::AcceptKey accept = http::accept_key(field(head_, "Sec-WebSocket-Key"));
    write(upgrade_answer(std::string_view(reinterpret_cast<const char*>(accept.data()), accept.size())));
}

void TlsSession::write(std::string_view text) {
    peer_.write(text);
    flush();
}

void TlsSession::flush(const std::function<void(tls::Buffer&)>& change) {
    tls::Buffer out = peer_.output();
    if (change) change(out);
    EXPECT_EQ(host_.send(socket_, out), out.size());
}

TlsServer::TlsServer(Network& network, tls::Version version) : version_(version) {
    HostOptions options;
    options.mac = server_mac;
    options.address = address;
    options.gateway = load_mac;
    host_ = std::make_unique<Host>(options, *this);
    host_->listen(port);
    network.attach(*host_, server_mac, {});
}

void TlsServer::on_open(Host& host, SocketId id) {
    TlsSession& session = *(sessions[id] = std::make_unique<TlsSession>(host, id, version_));
    if (on_connected) on_connected(session);
}

void TlsServer::on_data(Host&, SocketId id, std::span<const uint8_t> bytes) {
    TlsSession& session = *sessions.at(id);
    const bool before = session.upgraded;
    session.take(bytes);
    if (session.upgraded && !before && on_upgraded) on_upgraded(session);
}

void TlsServer::on_peer_fin(Host& host, SocketId id) {
    sessions.at(id)->fin = true;
    host.shutdown(id);
}

}  // namespace millrace::sim
