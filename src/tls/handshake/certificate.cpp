#include "tls/handshake/certificate.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace millrace::tls {
namespace {

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

std::string one_line(const X509_NAME* name) {
    const Owned<BIO> text(BIO_new(BIO_s_mem()));
    X509_NAME_print_ex(text.get(), name, 0, XN_FLAG_RFC2253);
    const auto bytes = pending(text.get());
    return {bytes.begin(), bytes.end()};
}

int64_t unix_time(const ASN1_TIME* time) {
    const Owned<ASN1_TIME> epoch(ASN1_TIME_set(nullptr, 0));
    int days = 0, seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, epoch.get(), time) != 1) return 0;
    return int64_t{days} * 86'400 + seconds;
}

std::string key_of(const X509* certificate) {
    const EVP_PKEY* key = X509_get0_pubkey(certificate);
    if (key == nullptr) return "unknown";
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC)
        return std::string(EVP_PKEY_get0_type_name(key)) + ' ' + std::to_string(EVP_PKEY_get_bits(key));
    std::array<char, 64> group{};
    size_t length = 0;
    if (EVP_PKEY_get_group_name(key, group.data(), group.size(), &length) != 1) return "EC";
    const char* common = EC_curve_nid2nist(OBJ_sn2nid(group.data()));
    return std::string("EC ") + (common != nullptr ? common : group.data());
}

std::string digest_of(const X509* certificate) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned length = 0;
    if (X509_digest(certificate, EVP_sha256(), digest.data(), &length) != 1) return {};
    std::string text;
    for (unsigned i = 0; i < length; ++i) {
        constexpr const char* digits = "0123456789abcdef";
        text += {digits[digest[i] >> 4], digits[digest[i] & 15]};
    }
    return text;
}

}  // namespace

std::vector<std::string> names_of(const X509* certificate) {
    std::vector<std::string> names;
    auto* alternatives =
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives, i);
        if (name->type != GEN_DNS) continue;
        const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
        names.push_back(lower(std::string(text, static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)))));
    }
    if (alternatives != nullptr) {
        GENERAL_NAMES_free(alternatives);
        return names;
    }
    std::array<char, 256> common{};
    if (X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, common.data(), common.size()) > 0)
        names.push_back(lower(common.data()));
    return names;
}

std::string subject_of(const X509* certificate) {
    return one_line(X509_get_subject_name(certificate));
}

std::optional<CertificateInfo> read_certificate(const std::string& pem, std::string& error) {
    const Owned<X509> certificate(PEM_read_bio_X509_AUX(reader(pem).get(), nullptr, no_passphrase, nullptr));
    if (!certificate) {
        error = take_openssl_error("no PEM certificate in it");
        return std::nullopt;
    }
    const X509* read = certificate.get();
    return CertificateInfo{.subject = subject_of(read),
                           .issuer = one_line(X509_get_issuer_name(read)),
                           .names = names_of(read),
                           .not_before = unix_time(X509_get0_notBefore(read)),
                           .not_after = unix_time(X509_get0_notAfter(read)),
                           .key = key_of(read),
                           .sha256 = digest_of(read)};
}

}  // namespace millrace::tls
