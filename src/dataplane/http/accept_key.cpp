// See accept_key.h. OpenSSL's low-level SHA-1 calls are marked deprecated, but they work on the stack; SHA1() and EVP
// allocate a context per call, and this runs on the worker.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "dataplane/http/accept_key.h"

#include <cstdint>
#include <openssl/sha.h>

namespace millrace::http {
namespace {

constexpr std::string_view websocket_guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
constexpr char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

AcceptKey accept_key(std::string_view key) {
    uint8_t digest[SHA_DIGEST_LENGTH + 1] = {};  // the zero completes the last group of three
    SHA_CTX context;
    SHA1_Init(&context);
    SHA1_Update(&context, key.data(), key.size());
    SHA1_Update(&context, websocket_guid.data(), websocket_guid.size());
    SHA1_Final(digest, &context);

    AcceptKey text;
    for (size_t in = 0, out = 0; in < sizeof digest; in += 3, out += 4) {
        const uint32_t group = uint32_t{digest[in]} << 16 | uint32_t{digest[in + 1]} << 8 | digest[in + 2];
        for (unsigned i = 0; i < 4; ++i) text[out + i] = base64_digits[group >> (18 - 6 * i) & 63];
    }
    text.back() = '=';
    return text;
}

}  // namespace millrace::http
