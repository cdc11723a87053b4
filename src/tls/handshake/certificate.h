// What a certificate says of itself: for whom it is, by whom, until when.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "tls/handshake/openssl.h"

namespace millrace::tls {

struct CertificateInfo {
    std::string subject, issuer;            ///< RFC 2253
    std::vector<std::string> names;         ///< DNS names that it is for (RFC 6125), in lower case; "*.example.com" too
    int64_t not_before = 0, not_after = 0;  ///< seconds of Unix time
    std::string key;                        ///< "RSA 2048", "EC P-256"
    std::string sha256;                     ///< of its DER, in hexadecimal digits
};

/// Of the first certificate of a text in PEM. Nothing, with OpenSSL's words in `error`, when there is none.
std::optional<CertificateInfo> read_certificate(const std::string& pem, std::string& error);

/// The DNS names of the subject alternative names, or else the common name.
std::vector<std::string> names_of(const X509* certificate);

/// The subject, as RFC 2253 writes it, in one line of ASCII.
std::string subject_of(const X509* certificate);

}  // namespace millrace::tls
