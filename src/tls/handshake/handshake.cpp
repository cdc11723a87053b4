#include "tls/handshake/handshake.h"

#include <algorithm>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "dataplane/base/fault.h"
#include "tls/handshake/certificate.h"
#include "tls/handshake/key_block.h"
#include "tls/record/key_schedule.h"
#include "tls/record/record.h"

namespace millrace::tls {
namespace {

constexpr std::string_view client_secret_label = "CLIENT_TRAFFIC_SECRET_0 ";
constexpr std::string_view server_secret_label = "SERVER_TRAFFIC_SECRET_0 ";

int digit(char c) {
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/// The secret of a line of the key log: behind the label and the client's random, in hexadecimal digits. Returns its
/// length.
size_t take_digits(std::string_view line, std::span<uint8_t> secret) {
    const std::string_view text = line.substr(line.rfind(' ') + 1);
    const size_t length = std::min(text.size() / 2, secret.size());
    for (size_t i = 0; i < length; ++i)
        secret[i] = static_cast<uint8_t>(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
    return length;
}

}  // namespace

Handshake::Handshake(std::shared_ptr<const Context> context, const HandshakeSettings& settings, Tally* tally)
    : context_(std::move(context)),
      tally_(tally),
      ssl_(SSL_new(context_->get())),
      in_(BIO_new(BIO_s_mem())),
      out_(BIO_new(BIO_s_mem())),
      is_server_(context_->is_server()),
      bytes_left_(settings.bytes_max) {
    BIO_set_mem_eof_return(in_, -1);  // an empty one means: wait
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_app_data(ssl_.get(), this);
    SSL_set_msg_callback_arg(ssl_.get(), this);
    if (is_server_) {
        SSL_set_accept_state(ssl_.get());
    } else {
        SSL_set_connect_state(ssl_.get());
        if (!settings.server_name.empty()) expect(settings.server_name);
        if (settings.session != nullptr) SSL_set_session(ssl_.get(), settings.session);
    }
}

/// A name that can't be asked for must not end in a handshake that checks none.
void Handshake::expect(const std::string& server_name) {
    X509_VERIFY_PARAM* verification = SSL_get0_param(ssl_.get());
    if (X509_VERIFY_PARAM_set1_ip_asc(verification, server_name.c_str()) == 1) return;
    X509_VERIFY_PARAM_set_hostflags(verification,
                                    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (SSL_set_tlsext_host_name(ssl_.get(), server_name.c_str()) == 1 &&
        X509_VERIFY_PARAM_set1_host(verification, server_name.data(), server_name.size()) == 1)
        return;
    error_ = "the server's name is none: " + take_openssl_error("too long");
    state_ = State::failed;
}

Handshake::~Handshake() {
    if (stays_) end();
    OPENSSL_cleanse(&client_secret_, sizeof client_secret_);
    OPENSSL_cleanse(&server_secret_, sizeof server_secret_);
}

void Handshake::prepare(SSL_CTX* context) {
    SSL_CTX_set_keylog_callback(context, on_key_log);
    SSL_CTX_set_msg_callback(context, on_message);
    SSL_CTX_set_info_callback(context, on_info);
}

/// Alerts; OpenSSL gives their level in the upper byte.
void Handshake::on_info(const SSL* ssl, int where, int value) {
    const auto* handshake = static_cast<const Handshake*>(SSL_get_app_data(ssl));
    if ((where & SSL_CB_ALERT) == 0 || handshake == nullptr || handshake->tally_ == nullptr) return;
    Tally& tally = *handshake->tally_;
    Tally::count(
        ((where & SSL_CB_READ) != 0 ? tally.alerts_in : tally.alerts_out)[alert_index(static_cast<uint8_t>(value))]);
}

void Handshake::on_key_log(const SSL* ssl, const char* line) {
    static_cast<Handshake*>(SSL_get_app_data(ssl))->take_secret(line);
}

void Handshake::take_secret(std::string_view line) {
    if (line.starts_with(client_secret_label)) client_secret_.length = take_digits(line, client_secret_.bytes);
    if (line.starts_with(server_secret_label)) server_secret_.length = take_digits(line, server_secret_.bytes);
}

/// Counts the records that we seal under our application keys: tickets.
void Handshake::on_message(int written, int, int type, const void* bytes, size_t, SSL*, void* self) {
    auto* handshake = static_cast<Handshake*>(self);
    if (handshake == nullptr || written == 0 || type != SSL3_RT_HEADER) return;
    const bool data = *static_cast<const uint8_t*>(bytes) == static_cast<uint8_t>(ContentType::application_data);
    const Secret& own = handshake->is_server_ ? handshake->server_secret_ : handshake->client_secret_;
    if (data && own.length > 0) ++handshake->written_;
}

Handshake::State Handshake::step(Bytes in, std::vector<uint8_t>& out) {
    if (state_ != State::under_way) return state_;
    if (in.size() > bytes_left_) {
        error_ = "the peer sent more than a handshake may take";
        return state_ = State::failed;
    }
    bytes_left_ -= in.size();
    ERR_clear_error();
    BIO_write(in_, in.data(), static_cast<int>(in.size()));
    const int outcome = SSL_do_handshake(ssl_.get());
    take_output(out);
    if (outcome == 1) return state_ = State::done;
    if (SSL_get_error(ssl_.get(), outcome) == SSL_ERROR_WANT_READ) return state_;
    const bool unverified = ERR_GET_REASON(ERR_peek_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED;
    error_ = take_openssl_error("the connection was closed");
    if (unverified) error_ += std::string(": ") + X509_verify_cert_error_string(SSL_get_verify_result(ssl_.get()));
    return state_ = State::failed;
}

void Handshake::take_output(std::vector<uint8_t>& out) {
    const Bytes bytes = pending(out_);
    note_explicit_nonce(bytes);
    out.insert(out.end(), bytes.begin(), bytes.end());
    BIO_reset(out_);
}

/// OpenSSL begins its explicit nonces at random; the first is seen in our Finished, behind our change of the cipher.
void Handshake::note_explicit_nonce(Bytes records) {
    if (SSL_version(ssl_.get()) != TLS1_2_VERSION) return;
    while (records.size() >= record_header_bytes) {
        const size_t length = size_t{records[3]} << 8 | records[4];
        const auto type = ContentType{records[0]};
        records = records.subspan(record_header_bytes);
        if (type == ContentType::handshake && cipher_changed_ && !nonce_seen_ &&
            records.size() >= explicit_nonce_.size()) {
            std::copy_n(records.begin(), explicit_nonce_.size(), explicit_nonce_.begin());
            nonce_seen_ = true;
        }
        cipher_changed_ = cipher_changed_ || type == ContentType::change_cipher_spec;
        records = records.subspan(std::min(length, records.size()));
    }
}

bool Handshake::suite(Suite& suite) const {
    switch (SSL_CIPHER_get_cipher_nid(SSL_get_current_cipher(ssl_.get()))) {
        case NID_aes_128_gcm:
            suite = Suite::aes_128_gcm_sha256;
            return true;
        case NID_aes_256_gcm:
            suite = Suite::aes_256_gcm_sha384;
            return true;
        case NID_chacha20_poly1305:
            suite = Suite::chacha20_poly1305_sha256;
            return true;
        default:
            return false;
    }
}

bool Handshake::hand_over(Crypto& crypto, Slot& slot, std::vector<uint8_t>& leftover) {
    slot = {};
    if (state_ != State::done || !ssl_ || !suite(slot.suite)) return false;
    slot.version = version();
    if (!is_server_) slot.flags |= client_role;
    // 1 to 4: 512 to 4,096 bytes (RFC 6066 §4); OpenSSL agrees to it without being asked.
    const unsigned fragment = SSL_SESSION_get_max_fragment_length(SSL_get_session(ssl_.get()));
    if (fragment >= 1 && fragment <= 4) slot.payload_max = static_cast<uint16_t>(256u << fragment);
    if (fault(Fault::tls_fragment_limit_ignored)) slot.payload_max = 0;
    if (!(slot.version == Version::tls13 ? hand_over_tls13(crypto, slot) : hand_over_tls12(slot))) {
        wipe(slot);
        error_ = "what was agreed on can't be handed over";
        return false;
    }
    const Bytes rest = pending(in_);
    leftover.assign(rest.begin(), rest.end());
    tally_ = nullptr;  // what comes from now on the record layer counts
    if (!stays_) end();
    return true;
}

void Handshake::end() {
    if (ssl_) SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // else nobody can resume it
    ssl_.reset();
}

Owned<SSL_SESSION> Handshake::session() const {
    Owned<SSL_SESSION> session(SSL_get1_session(ssl_.get()));
    if (session && SSL_SESSION_is_resumable(session.get()) != 1) session.reset();
    return session;
}

/// The leftover is still in the BIO. What OpenSSL would answer is not sent: the record layer does that.
void Handshake::read_along(Bytes records) {
    std::array<uint8_t, 4096> forgotten;
    ERR_clear_error();
    BIO_write(in_, records.data(), static_cast<int>(records.size()));
    while (SSL_read(ssl_.get(), forgotten.data(), forgotten.size()) > 0) continue;
    BIO_reset(out_);
    OPENSSL_cleanse(forgotten.data(), forgotten.size());
}

/// False without both secrets: a context without the callbacks must not end in keys that anybody can compute.
bool Handshake::hand_over_tls13(Crypto& crypto, Slot& slot) const {
    const Secret& own = is_server_ ? server_secret_ : client_secret_;
    const Secret& peers = is_server_ ? client_secret_ : server_secret_;
    const size_t length = hash_bytes(slot.suite);
    if (own.length != length || peers.length != length) return false;
    slot.write_secret = own.bytes;
    slot.read_secret = peers.bytes;
    set_traffic_keys(crypto, slot.suite, Bytes(own.bytes).first(length), slot.write);
    set_traffic_keys(crypto, slot.suite, Bytes(peers.bytes).first(length), slot.read);
    slot.write.sequence = written_;
    return true;
}

bool Handshake::hand_over_tls12(Slot& slot) const {
    std::array<uint8_t, SSL_MAX_MASTER_KEY_LENGTH> master;
    std::array<uint8_t, SSL3_RANDOM_SIZE> server_random, client_random;
    SSL_get_server_random(ssl_.get(), server_random.data(), server_random.size());
    SSL_get_client_random(ssl_.get(), client_random.data(), client_random.size());
    const size_t length = SSL_SESSION_get_master_key(SSL_get_session(ssl_.get()), master.data(), master.size());
    Direction& client = is_server_ ? slot.read : slot.write;
    Direction& server = is_server_ ? slot.write : slot.read;
    const bool derived =
        derive_key_block(slot.suite, Bytes(master).first(length), server_random, client_random, client, server);
    OPENSSL_cleanse(master.data(), master.size());
    const bool explicit_nonce = explicit_nonce_bytes(slot.version, slot.suite) != 0;
    if (explicit_nonce) std::ranges::copy(explicit_nonce_, slot.write.iv.begin() + 4);
    slot.read.sequence = slot.write.sequence = 1;  // each side's Finished was number 0
    return derived && (nonce_seen_ || !explicit_nonce);
}

Version Handshake::version() const {
    return SSL_version(ssl_.get()) == TLS1_3_VERSION ? Version::tls13 : Version::tls12;
}

size_t Handshake::suite_number() const {
    Suite agreed{};
    return suite(agreed) ? suite_index(version(), agreed) : 0;
}

std::string_view Handshake::cipher() const {
    return SSL_get_cipher_name(ssl_.get());
}

std::string_view Handshake::group() const {
    const long id = SSL_get_negotiated_group(ssl_.get());
    const char* name = id == 0 ? nullptr : SSL_group_to_name(ssl_.get(), static_cast<int>(id));
    return name == nullptr ? "" : name;
}

std::string_view Handshake::protocol() const {
    const unsigned char* name = nullptr;
    unsigned length = 0;
    SSL_get0_alpn_selected(ssl_.get(), &name, &length);
    return {reinterpret_cast<const char*>(name), length};
}

bool Handshake::resumed() const {
    return SSL_session_reused(ssl_.get()) == 1;
}

std::string Handshake::peer_subject() const {
    const Owned<X509> certificate(SSL_get1_peer_certificate(ssl_.get()));
    return certificate ? subject_of(certificate.get()) : std::string();
}

}  // namespace millrace::tls
