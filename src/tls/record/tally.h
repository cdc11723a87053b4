// What handshakes agreed upon, and alerts: counted by crypto threads and workers, each its own.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "tls/record/suite.h"

namespace millrace::tls {

/// Suites of both versions: TLS 1.2 first.
inline constexpr std::array<std::string_view, 6> suite_names{"12_aes_128_gcm", "12_aes_256_gcm", "12_chacha20",
                                                             "13_aes_128_gcm", "13_aes_256_gcm", "13_chacha20"};
constexpr size_t suite_index(Version version, Suite suite) {
    return (version == Version::tls13 ? 3 : 0) + static_cast<size_t>(suite) - 1;
}

/// Groups of the key exchange; the last stands for all others, and for sessions resumed without one.
inline constexpr std::array<std::string_view, 6> group_names{"x25519",    "secp256r1", "secp384r1",
                                                             "secp521r1", "x448",      "other"};
constexpr size_t group_index(std::string_view openssl_name) {
    size_t index = 0;
    while (index + 1 < group_names.size() && group_names[index] != openssl_name) ++index;
    return index;
}

/// Alerts (RFC 8446 §6.2, RFC 5246 §7.2) that are told apart; the last stands for all others.
struct AlertName {
    uint8_t code;
    std::string_view name;
};
inline constexpr std::array<AlertName, 18> alert_names{{{0, "close_notify"},
                                                        {10, "unexpected_message"},
                                                        {20, "bad_record_mac"},
                                                        {22, "record_overflow"},
                                                        {40, "handshake_failure"},
                                                        {42, "bad_certificate"},
                                                        {45, "certificate_expired"},
                                                        {46, "certificate_unknown"},
                                                        {47, "illegal_parameter"},
                                                        {48, "unknown_ca"},
                                                        {50, "decode_error"},
                                                        {51, "decrypt_error"},
                                                        {70, "protocol_version"},
                                                        {80, "internal_error"},
                                                        {112, "unrecognized_name"},
                                                        {116, "certificate_required"},
                                                        {120, "no_application_protocol"},
                                                        {255, "other"}}};
constexpr size_t alert_index(uint8_t code) {
    size_t index = 0;
    while (index + 1 < alert_names.size() && alert_names[index].code != code) ++index;
    return index;
}

/// `Number` is what counts.
template <typename Number>
struct Tallies {
    std::array<Number, suite_names.size()> suites{};  ///< of handshakes that are done
    std::array<Number, group_names.size()> groups{};  ///< likewise
    std::array<Number, alert_names.size()> alerts_in{}, alerts_out{};
};

/// Each is added to by one thread only.
struct Tally : Tallies<std::atomic<uint64_t>> {
    static void count(std::atomic<uint64_t>& counter) {
        counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
};

}  // namespace millrace::tls
