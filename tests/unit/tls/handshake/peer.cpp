#include "peer.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <stdexcept>

namespace millrace::tls {

Buffer bytes_of(std::string_view text) {
    return {text.begin(), text.end()};
}

Peer::Peer(bool is_server)
    : context_(SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method())), is_server_(is_server) {
    if (!is_server) return;
    for (const KeyKind kind : {KeyKind::ecdsa, KeyKind::rsa}) use(identity(kind));
}

void Peer::use(const Identity& own) {
    const Owned<BIO> chain(BIO_new_mem_buf(own.chain_pem.data(), -1)), key(BIO_new_mem_buf(own.key_pem.data(), -1));
    const Owned<X509> certificate(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
    const Owned<EVP_PKEY> secret(PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr));
    SSL_CTX_use_certificate(context(), certificate.get());
    SSL_CTX_use_PrivateKey(context(), secret.get());
}

SSL* Peer::ssl() {
    if (!ssl_) {
        ssl_.reset(SSL_new(context()));
        SSL_set_bio(ssl_.get(), in_ = BIO_new(BIO_s_mem()), out_ = BIO_new(BIO_s_mem()));
        BIO_set_mem_eof_return(in_, -1);
        if (is_server_)
            SSL_set_accept_state(ssl_.get());
        else
            SSL_set_connect_state(ssl_.get());
    }
    return ssl_.get();
}

void Peer::take(Bytes bytes) {
    ssl();
    BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
}

Buffer Peer::output() {
    ssl();
    const Bytes bytes = pending(out_);
    Buffer out(bytes.begin(), bytes.end());
    BIO_reset(out_);
    return out;
}

bool Peer::step() {
    return SSL_do_handshake(ssl()) == 1;
}

std::string Peer::read() {
    std::string text;
    char part[16384];
    for (int length; (length = SSL_read(ssl(), part, sizeof part)) > 0;) text.append(part, static_cast<size_t>(length));
    return text;
}

void Peer::write(std::string_view text) {
    ASSERT_EQ(SSL_write(ssl(), text.data(), static_cast<int>(text.size())), static_cast<int>(text.size()));
}

namespace {

std::shared_ptr<Context> must(std::unique_ptr<Context> context, const std::string& error) {
    if (!context) throw std::runtime_error(error);
    return context;
}

}  // namespace

std::shared_ptr<Context> server_context(ContextSettings settings) {
    if (settings.identities.empty()) settings.identities = {identity(KeyKind::ecdsa)};
    std::string error;
    return must(Context::server(settings, error), error);
}

std::shared_ptr<Context> client_context(ContextSettings settings) {
    std::string error;
    std::shared_ptr<Context> context = must(Context::client(settings, error), error);
    context->trust(authority_pem(), error);
    return context;
}

Joined::Joined(const std::shared_ptr<const Context>& context, const HandshakeSettings& settings)
    : peer(!context->is_server()), ours(context, settings) {}

Handshake::State Joined::shake(size_t piece) {
    Buffer out;
    ours.step({}, out);
    for (bool moved = true; moved;) {
        peer.take(out);
        moved = !out.empty();
        out.clear();
        peer.step();
        const Buffer in = peer.output();
        moved = moved || !in.empty();
        for (size_t at = 0; at < in.size();) {
            const size_t length = std::min(piece, in.size() - at);
            if (ours.state() != Handshake::State::under_way) {  // it came behind the handshake
                waiting.insert(waiting.end(), in.begin() + static_cast<ptrdiff_t>(at), in.end());
                break;
            }
            ours.step(Bytes(in).subspan(at, length), out);
            at += length;
        }
    }
    return ours.state();
}

void Joined::hand_over() {
    ASSERT_EQ(ours.state(), Handshake::State::done) << ours.error();
    Buffer leftover;
    ASSERT_TRUE(ours.hand_over(crypto, slot, leftover));
    waiting.insert(waiting.begin(), leftover.begin(), leftover.end());
}

std::string Joined::receive() {
    const Buffer more = peer.output();
    waiting.insert(waiting.end(), more.begin(), more.end());
    std::string text;
    Bytes rest = waiting;
    while (rest.size() >= record_header_bytes) {
        const auto header = rest.first<record_header_bytes>();
        const RecordHeader read = read_header(slot, header);
        EXPECT_TRUE(read.valid);
        if (rest.size() < record_header_bytes + read.length) break;
        const Bytes pieces[] = {rest.subspan(record_header_bytes, read.length)};
        Buffer payload(read.length);
        const Opened opened = open(crypto, slot, header, pieces, payload.data());
        EXPECT_TRUE(opened.valid) << "alert " << int(opened.alert);
        if (!opened.valid) break;
        payload.resize(opened.length);
        verdict = judge(crypto, slot, opened.type, payload);
        EXPECT_NE(verdict.kind, Verdict::Kind::failed);
        if (opened.type == ContentType::application_data) text.append(payload.begin(), payload.end());
        rest = rest.subspan(record_header_bytes + read.length);
    }
    waiting = {rest.begin(), rest.end()};
    return text;
}

void Joined::send(std::string_view text) {
    Buffer record(text.size() + control_record_bytes_max);
    if ((slot.flags & key_update_owed) != 0)
        peer.take(Bytes(record).first(seal_key_update(crypto, slot, record.data())));
    const Buffer bytes = bytes_of(text);
    const Bytes pieces[] = {bytes};
    peer.take(Bytes(record).first(seal(crypto, slot, ContentType::application_data, pieces, record.data())));
}

}  // namespace millrace::tls
