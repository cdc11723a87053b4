#include "tls/record/post_handshake.h"

#include <algorithm>

#include <millrace/assert.h>

#include "tls/record/key_schedule.h"

namespace millrace::tls {
namespace {

using Kind = Verdict::Kind;

/// Types of handshake messages (RFC 8446 §4, RFC 5246 §7.4).
enum Message : uint8_t {
    hello_request = 0,
    client_hello = 1,
    new_session_ticket = 4,
    key_update = 24,
};

constexpr size_t message_header_size = 4;

Verdict fail(Alert alert) {
    return {Kind::failed, alert};
}

Verdict judge_alert(const Slot& slot, Bytes payload) {
    if (payload.size() != 2) return fail(Alert::decode_error);
    const auto alert = static_cast<Alert>(payload[1]);
    if (alert == Alert::close_notify) return {Kind::closed, alert};
    // TLS 1.3 knows no other warning; what calls itself one is an error all the same (RFC 8446 §6).
    const bool warning = slot.version == Version::tls12 && payload[0] == alert_level_warning;
    if (warning || alert == Alert::user_canceled) return {};
    return {Kind::ended, alert};
}

/// The rest of a record, from the body of a KeyUpdate on, which must end it (RFC 8446 §5.1).
Verdict take_key_update(Crypto& crypto, Slot& slot, Bytes rest) {
    slot.message_left = 0;
    if (rest.size() != 1) return fail(Alert::unexpected_message);
    if (rest[0] > 1) return fail(Alert::illegal_parameter);
    if (rest[0] == 1) slot.flags |= key_update_owed;
    update_traffic_keys(crypto, slot.suite, slot.read_secret, slot.read);
    return {};
}

bool is_key_update(const Slot& slot) {
    return slot.version == Version::tls13 && slot.message_header[0] == key_update;
}

/// The header of a message is whole: may it come?
Verdict begin_message(Slot& slot) {
    const auto& [type, high, middle, low] = slot.message_header;
    const bool client = (slot.flags & client_role) != 0, tls13 = slot.version == Version::tls13;
    slot.message_left = uint32_t{high} << 16 | uint32_t{middle} << 8 | low;
    slot.message_header_bytes = 0;
    if (is_key_update(slot)) return slot.message_left == 1 ? Verdict{} : fail(Alert::decode_error);
    if (tls13 && client && type == new_session_ticket) return {};
    const bool renegotiation = !tls13 && type == (client ? hello_request : client_hello);
    return renegotiation ? Verdict{Kind::warn, Alert::no_renegotiation} : fail(Alert::unexpected_message);
}

Verdict judge_handshake(Crypto& crypto, Slot& slot, Bytes payload) {
    Verdict verdict;
    while (!payload.empty()) {
        if (slot.message_left > 0 && is_key_update(slot)) return take_key_update(crypto, slot, payload);
        const size_t skipped = std::min<size_t>(slot.message_left, payload.size());
        slot.message_left -= static_cast<uint32_t>(skipped);
        payload = payload.subspan(skipped);
        while (!payload.empty() && slot.message_header_bytes < message_header_size) {
            slot.message_header[slot.message_header_bytes++] = payload.front();
            payload = payload.subspan(1);
        }
        if (slot.message_header_bytes < message_header_size) break;
        const Verdict one = begin_message(slot);
        if (one.kind == Kind::failed) return one;
        if (one.kind == Kind::warn) verdict = one;
    }
    return verdict;
}

}  // namespace

Verdict judge(Crypto& crypto, Slot& slot, ContentType type, Bytes payload) {
    const bool amid_message = slot.message_left > 0 || slot.message_header_bytes > 0;
    const bool data = type == ContentType::application_data;
    if (amid_message && type != ContentType::handshake) return fail(Alert::unexpected_message);  // RFC 8446 §5.1
    slot.fruitless = data && !payload.empty() ? 0 : static_cast<uint8_t>(slot.fruitless + 1);
    if (slot.fruitless > fruitless_records_max) return fail(Alert::unexpected_message);
    if (data) return {};
    return type == ContentType::alert ? judge_alert(slot, payload) : judge_handshake(crypto, slot, payload);
}

size_t seal_alert(Crypto& crypto, Slot& slot, Alert alert, uint8_t* out) {
    const bool warning =
        alert == Alert::close_notify || alert == Alert::user_canceled || alert == Alert::no_renegotiation;
    const uint8_t payload[] = {warning ? alert_level_warning : alert_level_fatal, static_cast<uint8_t>(alert)};
    const Bytes pieces[] = {payload};
    if (alert == Alert::close_notify) slot.flags |= close_notify_sent;
    return seal(crypto, slot, ContentType::alert, pieces, out);
}

size_t seal_key_update(Crypto& crypto, Slot& slot, uint8_t* out) {
    MILLRACE_ASSERT(slot.version == Version::tls13);
    static constexpr uint8_t message[] = {key_update, 0, 0, 1, 0};
    const Bytes pieces[] = {message};
    const size_t length = seal(crypto, slot, ContentType::handshake, pieces, out);
    update_traffic_keys(crypto, slot.suite, slot.write_secret, slot.write);
    slot.flags = static_cast<uint8_t>(slot.flags & ~key_update_owed);
    return length;
}

}  // namespace millrace::tls
