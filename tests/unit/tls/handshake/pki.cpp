#include "pki.h"

#include <cstdlib>
#include <map>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <utility>

#include <millrace/address.h>

#include "tls/handshake/openssl.h"

namespace millrace::tls {
namespace {

struct Signed {
    Owned<X509> certificate;
    Owned<EVP_PKEY> key;
};

Owned<EVP_PKEY> make_key(KeyKind kind) {
    return Owned<EVP_PKEY>(kind == KeyKind::ecdsa ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048));
}

template <class Write>
std::string pem(Write&& write) {
    const Owned<BIO> bio(BIO_new(BIO_s_mem()));
    if (write(bio.get()) != 1) std::abort();
    const std::span<const uint8_t> text = pending(bio.get());
    return {text.begin(), text.end()};
}

void add(X509* certificate, int what, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, what, value.c_str());
    X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
}

Signed make(KeyKind kind, const std::string& name, const Signed* by, long seconds = 86400) {
    static long serial = 1;
    Signed made{Owned<X509>(X509_new()), make_key(kind)};
    X509* certificate = made.certificate.get();
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), seconds);
    X509_set_pubkey(certificate, made.key.get());
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(certificate, X509_get_subject_name(by == nullptr ? certificate : by->certificate.get()));
    if (by == nullptr)
        add(certificate, NID_basic_constraints, "critical,CA:TRUE");
    else
        add(certificate, NID_subject_alt_name, (parse_ip_address(name) ? "IP:" : "DNS:") + name);
    if (X509_sign(certificate, by == nullptr ? made.key.get() : by->key.get(), EVP_sha256()) == 0) std::abort();
    return made;
}

const Signed& authority() {
    static const Signed made = make(KeyKind::ecdsa, "test authority", nullptr);
    return made;
}

Identity identity_of(const Signed& made) {
    return {pem([&](BIO* bio) { return PEM_write_bio_X509(bio, made.certificate.get()); }), pem([&](BIO* bio) {
                return PEM_write_bio_PrivateKey(bio, made.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
            })};
}

}  // namespace

const std::string& authority_pem() {
    static const std::string text =
        pem([](BIO* bio) { return PEM_write_bio_X509(bio, authority().certificate.get()); });
    return text;
}

const Identity& identity(KeyKind kind, const std::string& name) {
    static std::map<std::pair<KeyKind, std::string>, Identity> all;
    const auto [place, fresh] = all.try_emplace({kind, name});
    if (fresh) place->second = identity_of(make(kind, name, &authority()));
    return place->second;
}

const Identity& expired_identity() {
    static const Identity made = identity_of(make(KeyKind::ecdsa, "ticker.test", &authority(), -60));
    return made;
}

}  // namespace millrace::tls
