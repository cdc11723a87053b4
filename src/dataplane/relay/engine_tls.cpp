// The client's side of a relay with TLS, once its handshake is done: records to bytes and back. What comes is a stream
// of records, cut anywhere by TCP:
//
//   segment ─► whole record ─────────────────► open ─► where the phase puts bytes of the client
//         └──► part of one ─► raw (one chunk) ──┘
//
// A record is passed on whole or comes again: when memory ends in the middle of its payload, its last bytes are not
// acknowledged, and `delivered` remembers what has gone on. What goes to the client is sealed only when there is memory
// for all of the record, since no number of a record is used twice.
//
// A verdict on what is no application data is noted inside tcp::receive() and acted upon after it (judge_client).

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/relay/engine.h"
#include "dataplane/tcp/close.h"
#include "dataplane/tcp/sender.h"
#include "tls/record/record.h"

namespace millrace::relay {
namespace {

using Kind = tls::Verdict::Kind;

/// A client whose record was refused for want of memory sends the rest of it again within that time.
constexpr uint32_t refusal_grace_ms = 8'000;

/// Bytes in the send queue from which on warnings of a client are not answered.
constexpr uint32_t answers_waiting_max = 4096;

/// The first bytes of two pieces, as many as `to` has.
void copy_front(std::span<const uint8_t> first, std::span<const uint8_t> second, std::span<uint8_t> to) {
    const size_t part = std::min(first.size(), to.size());
    std::copy_n(first.begin(), part, to.begin());
    std::copy_n(second.begin(), to.size() - part, to.begin() + static_cast<ptrdiff_t>(part));
}

}  // namespace

/// Returns how many bytes need not come again.
size_t Engine::consume_records(Ref r, std::span<const uint8_t> bytes) {
    size_t taken = 0;
    while (taken < bytes.size()) {
        if (tls_end(r).ended()) return bytes.size();
        const size_t step = take_record(r, bytes.subspan(taken));
        taken += step;
        if (step == 0) break;
    }
    return taken;
}

/// One record, or what there is of it; 0 when there is no memory.
size_t Engine::take_record(Ref r, std::span<const uint8_t> bytes) {
    TlsEnd& end = tls_end(r);
    const std::span<const uint8_t> held =
        end.raw == store::no_chunk ? std::span<const uint8_t>{} : r.shard.chunks.payload(end.raw);
    if (held.size() + bytes.size() < tls::record_header_bytes) return keep_raw(r, bytes);
    std::array<uint8_t, tls::record_header_bytes> start;
    copy_front(held, bytes, start);
    const tls::RecordHeader header = tls::read_header(end.slot, start);
    const size_t whole = tls::record_header_bytes + header.length;
    if (!header.valid || whole > record_bytes_max) {
        note_verdict(r, {Kind::failed, header.valid ? tls::Alert::record_overflow : header.alert});
        return bytes.size();
    }
    const size_t rest = whole - held.size();
    if (bytes.size() < rest) return keep_raw(r, bytes);
    const size_t skipped = std::min(held.size(), start.size());
    const tls::Bytes pieces[] = {held.subspan(skipped), bytes.first(rest).subspan(start.size() - skipped)};
    if (!open_record(r, start, pieces)) return 0;
    free_raw(r);
    return rest;
}

/// Stores a part of a record.
size_t Engine::keep_raw(Ref r, std::span<const uint8_t> bytes) {
    TlsEnd& end = tls_end(r);
    if (end.raw == store::no_chunk) end.raw_since_ms = static_cast<uint32_t>(now_ / us_per_ms);
    return append(r, end.raw, bytes);
}

void Engine::free_raw(Ref r) {
    TlsEnd& end = tls_end(r);
    if (end.raw != store::no_chunk) r.shard.chunks.free(end.raw);
    end.raw = store::no_chunk;
}

/// False when the record must come again.
bool Engine::open_record(Ref r, std::span<const uint8_t, tls::record_header_bytes> header, tls::Pieces pieces) {
    TlsEnd& end = tls_end(r);
    TlsStats& stats = stats_.worker.tls;
    const tls::Opened opened = tls::open(tls_->crypto, end.slot, header, pieces, tls_->opened.data());
    if (!opened.valid && !fault(Fault::relay_tls_bad_record_skipped)) {
        note_verdict(r, {Kind::failed, opened.alert});
        return true;
    }
    const std::span<const uint8_t> payload = std::span(tls_->opened).first(opened.length);
    const tls::Verdict verdict = tls::judge(tls_->crypto, end.slot, opened.type, payload);
    if (verdict.kind != Kind::carry_on) note_verdict(r, verdict);
    if (verdict.kind == Kind::carry_on && opened.type == tls::ContentType::application_data) {
        const std::span<const uint8_t> rest = payload.subspan(std::min<size_t>(end.delivered, payload.size()));
        const size_t taken = rest.empty() ? 0 : consume_plain(r, Side::client, rest);
        if (taken < rest.size() && !fault(Fault::relay_tls_rest_of_record_lost)) {
            end.delivered = static_cast<uint16_t>(end.delivered + taken);
            --end.slot.read.sequence;  // it is opened again, from the beginning
            if (end.refused == 0) end.raw_since_ms = static_cast<uint32_t>(now_ / us_per_ms) + refusal_grace_ms;
            end.refused = 1;
            tls_noted_ = tls_noted_ || taken != 0;  // what has gone on may be all that was waited for
            return false;
        }
        stats.data_bytes_in += payload.size();
    }
    end.delivered = 0;
    end.refused = 0;
    ++stats.records_in;
    return true;
}

void Engine::note_verdict(Ref r, const tls::Verdict& verdict) {
    TlsEnd& end = tls_end(r);
    end.verdict = verdict.kind;
    end.alert = verdict.alert;
    tls_noted_ = true;
}

/// Acts upon the latest verdict. Returns whether the client has said all that it wants to say, by close_notify or, with
/// `fin`, by a FIN; true once.
bool Engine::judge_client(Ref r, bool fin) {
    TlsEnd& end = tls_end(r);
    TlsStats& stats = stats_.worker.tls;
    if (!end.established()) return fin;
    if (end.verdict == Kind::warn) {
        end.verdict = Kind::carry_on;
        // A client that asks and asks without reading must not fill our memory with answers.
        if (tcp::send_queue_bytes(r.relay.client_warm) < answers_waiting_max) send_alert(r, end.alert);
    }
    if (end.ended()) {
        if (end.judged != 0) return false;
        end.judged = 1;
        if (end.verdict == Kind::closed) return true;
        if (end.verdict == Kind::ended) {
            ++stats.alerts_in;
            ++tls_->tallies.alerts_in[tls::alert_index(static_cast<uint8_t>(end.alert))];
            abort(r, Closer::client, CloseReason::tls_alert);
        } else {
            ++stats.bad_records;
            reject_client(r);
        }
        return false;
    }
    if (!fin || r.relay.phase == Phase::answering) return fin;
    // Only where nothing else tells where the stream ends can something be missing.
    ++stats.truncated;
    const bool stream = r.relay.setup == store::no_chunk || setup_of(r).request_head_length == 0;
    if ((stream || end.raw != store::no_chunk) && !fault(Fault::relay_tls_truncation_unnoticed))
        r.relay.set_end(Closer::client, CloseReason::tls_truncated);
    return true;
}

/// The client's last record can't be believed: it is told why, and both connections end.
void Engine::reject_client(Ref r) {
    r.relay.set_end(Closer::balancer, CloseReason::tls_bad_record);
    abort_side(r, Side::server);
    send_alert(r, tls_end(r).alert);
    tcp::shutdown_send(context(r.shard), r.relay.endpoint(Side::client));
    if (!linger(r)) abort_side(r, Side::client);
}

bool Engine::send_record(Ref r, tls::ContentType type, std::span<const uint8_t> payload) {
    tls::Slot& slot = tls_end(r).slot;
    const auto seal = [&] {
        const tls::Bytes pieces[] = {payload};
        const size_t length = tls::seal(tls_->crypto, slot, type, pieces, tls_->sealed.data());
        return std::span<const uint8_t>(tls_->sealed).first(length);
    };
    const size_t length = payload.size() + tls::overhead_bytes(slot.version, slot.suite);
    if (!tcp::send_whole(context(r.shard), r.relay.endpoint(Side::client), length, seal)) return false;
    ++stats_.worker.tls.records_out;
    return true;
}

/// An alert that finds no memory is not sent: the end of the connection follows all the same.
void Engine::send_alert(Ref r, tls::Alert alert) {
    tls::Slot& slot = tls_end(r).slot;
    const auto seal = [&] {
        const size_t length = tls::seal_alert(tls_->crypto, slot, alert, tls_->sealed.data());
        return std::span<const uint8_t>(tls_->sealed).first(length);
    };
    const size_t length = 2 + tls::overhead_bytes(slot.version, slot.suite);
    if (!tcp::send_whole(context(r.shard), r.relay.endpoint(Side::client), length, seal)) return;
    ++stats_.worker.tls.alerts_out;
    ++tls_->tallies.alerts_out[tls::alert_index(static_cast<uint8_t>(alert))];
}

bool Engine::send_key_update(Ref r) {
    tls::Slot& slot = tls_end(r).slot;
    const auto seal = [&] {
        const size_t length = tls::seal_key_update(tls_->crypto, slot, tls_->sealed.data());
        return std::span<const uint8_t>(tls_->sealed).first(length);
    };
    const size_t length = 5 + tls::overhead_bytes(slot.version, slot.suite);
    if (!tcp::send_whole(context(r.shard), r.relay.endpoint(Side::client), length, seal)) return false;
    ++stats_.worker.tls.key_updates_out;
    return true;
}

/// Seals bytes for the client into its send queue, in records as large as may be; returns how many were taken.
size_t Engine::send_records(Ref r, std::span<const uint8_t> bytes) {
    const tls::Slot& slot = tls_end(r).slot;
    size_t taken = 0;
    while (taken < bytes.size()) {
        const bool owed = (slot.flags & tls::key_update_owed) != 0 && !fault(Fault::relay_tls_key_update_unanswered);
        if ((owed || tls::key_update_due(slot)) && !send_key_update(r)) break;
        const size_t part = std::min(bytes.size() - taken, tls::payload_limit(slot));
        if (!send_record(r, tls::ContentType::application_data, bytes.subspan(taken, part))) break;
        taken += part;
    }
    stats_.worker.tls.data_bytes_out += taken;
    return taken;
}

/// Everything to the client but a handshake goes this way. Returns how many bytes were taken.
size_t Engine::send_to_client(Ref r, std::span<const uint8_t> bytes) {
    if (r.relay.has(flag_tls)) return send_records(r, bytes);
    return tcp::send(context(r.shard), r.relay.endpoint(Side::client), bytes);
}

/// A FIN behind everything that was sent, and with TLS a close_notify before it.
void Engine::finish_side(Ref r, Side side) {
    if (side == Side::client && r.relay.has(flag_tls) && tls_end(r).established()) {
        const bool said = (tls_end(r).slot.flags & tls::close_notify_sent) != 0;
        if (!said && !fault(Fault::relay_tls_fin_without_notify)) send_alert(r, tls::Alert::close_notify);
    }
    tcp::shutdown_send(context(r.shard), r.relay.endpoint(side));
}

/// The client says no more.
bool Engine::client_has_finished(Ref r) {
    const bool notified = r.relay.has(flag_tls) && tls_end(r).verdict == Kind::closed;
    return notified || r.relay.client_hot.has(tcp::flag_fin_received);
}

/// Keys don't outlive their relay.
void Engine::end_tls(Ref r) {
    --r.shard.tls_relays;
    close_seat(r);
    waiting_.gone += tls_end(r).waits_for_seat;
    free_raw(r);
    if (fault(Fault::relay_tls_keys_kept)) return;
    tls::wipe(tls_end(r).slot);
    tls_end(r) = {};
}

}  // namespace millrace::relay
