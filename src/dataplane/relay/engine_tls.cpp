// A side of a relay with TLS, once its handshake is done: records to bytes and back. What comes is a stream of records,
// cut anywhere by TCP:
//
//   segment ─► whole record ─────────────────► open ─► where the phase puts bytes of that side
//         └──► part of one ─► raw (one chunk) ──┘
//
// A record is passed on whole or comes again: when memory ends in the middle of its payload, its last bytes are not
// acknowledged, and `delivered` remembers what has gone on. What is sent is sealed only when there is memory for all of
// the record, since no number of a record is used twice.
//
// A verdict on what is no application data is noted inside tcp::receive() and acted upon after it (judge_peer).

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/relay/engine.h"
#include "dataplane/tcp/close.h"
#include "dataplane/tcp/sender.h"
#include "tls/record/record.h"

namespace millrace::relay {
namespace {

using Kind = tls::Verdict::Kind;

/// Who has sent a record that was refused for want of memory sends the rest of it again within that time.
constexpr uint32_t refusal_grace_ms = 8'000;

/// Bytes in the send queue from which on a peer's warnings are not answered.
constexpr uint32_t answers_waiting_max = 4096;

/// The first bytes of two pieces, as many as `to` has.
void copy_front(std::span<const uint8_t> first, std::span<const uint8_t> second, std::span<uint8_t> to) {
    const size_t part = std::min(first.size(), to.size());
    std::copy_n(first.begin(), part, to.begin());
    std::copy_n(second.begin(), to.size() - part, to.begin() + static_cast<ptrdiff_t>(part));
}

}  // namespace

/// Returns how many bytes need not come again.
size_t Engine::consume_records(Ref r, Side side, std::span<const uint8_t> bytes) {
    size_t taken = 0;
    while (taken < bytes.size()) {
        if (tls_end(r, side).ended()) return bytes.size();
        const size_t step = take_record(r, side, bytes.subspan(taken));
        taken += step;
        if (step == 0) break;
    }
    return taken;
}

/// One record, or what there is of it; 0 when there is no memory.
size_t Engine::take_record(Ref r, Side side, std::span<const uint8_t> bytes) {
    TlsEnd& end = tls_end(r, side);
    const std::span<const uint8_t> held =
        end.raw == store::no_chunk ? std::span<const uint8_t>{} : r.shard.chunks.payload(end.raw);
    if (held.size() + bytes.size() < tls::record_header_bytes) return keep_raw(r, side, bytes);
    std::array<uint8_t, tls::record_header_bytes> start;
    copy_front(held, bytes, start);
    const tls::RecordHeader header = tls::read_header(end.slot, start);
    const size_t whole = tls::record_header_bytes + header.length;
    if (!header.valid || whole > record_bytes_max) {
        note_verdict(r, side, {Kind::failed, header.valid ? tls::Alert::record_overflow : header.alert});
        return bytes.size();
    }
    const size_t rest = whole - held.size();
    if (bytes.size() < rest) return keep_raw(r, side, bytes);
    const size_t skipped = std::min(held.size(), start.size());
    const tls::Bytes pieces[] = {held.subspan(skipped), bytes.first(rest).subspan(start.size() - skipped)};
    if (!open_record(r, side, start, pieces)) return 0;
    free_raw(r, side);
    return rest;
}

/// Stores a part of a record.
size_t Engine::keep_raw(Ref r, Side side, std::span<const uint8_t> bytes) {
    TlsEnd& end = tls_end(r, side);
    if (end.raw == store::no_chunk) end.raw_since_ms = static_cast<uint32_t>(now_ / us_per_ms);
    return append(r, end.raw, bytes);
}

void Engine::free_raw(Ref r, Side side) {
    TlsEnd& end = tls_end(r, side);
    if (end.raw != store::no_chunk) r.shard.chunks.free(end.raw);
    end.raw = store::no_chunk;
}

/// False when the record must come again.
bool Engine::open_record(Ref r, Side side, std::span<const uint8_t, tls::record_header_bytes> header,
                         tls::Pieces pieces) {
    TlsEnd& end = tls_end(r, side);
    TlsStats& stats = stats_.worker.tls;
    const tls::Opened opened = tls::open(tls_->crypto, end.slot, header, pieces, tls_->opened.data());
    if (!opened.valid && !fault(Fault::relay_tls_bad_record_skipped)) {
        note_verdict(r, side, {Kind::failed, opened.alert});
        return true;
    }
    const std::span<const uint8_t> payload = std::span(tls_->opened).first(opened.length);
    const tls::Verdict verdict = tls::judge(tls_->crypto, end.slot, opened.type, payload);
    if (verdict.kind != Kind::carry_on) note_verdict(r, side, verdict);
    if (verdict.kind == Kind::carry_on && opened.type == tls::ContentType::application_data) {
        const std::span<const uint8_t> rest = payload.subspan(std::min<size_t>(end.delivered, payload.size()));
        const size_t taken = rest.empty() ? 0 : consume_plain(r, side, rest);
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

void Engine::note_verdict(Ref r, Side side, const tls::Verdict& verdict) {
    TlsEnd& end = tls_end(r, side);
    end.verdict = verdict.kind;
    end.alert = verdict.alert;
    tls_noted_ = true;
}

/// Acts upon the latest verdict on that side's peer. Returns whether it has said all that it wants to say, by
/// close_notify or, with `fin`, by a FIN; true once.
bool Engine::judge_peer(Ref r, Side side, bool fin) {
    TlsEnd& end = tls_end(r, side);
    TlsStats& stats = stats_.worker.tls;
    if (!end.established()) return fin;
    if (end.verdict == Kind::warn) {
        end.verdict = Kind::carry_on;
        // A peer that asks and asks without reading must not fill our memory with answers.
        if (tcp::send_queue_bytes(r.relay.endpoint(side).warm) < answers_waiting_max) send_alert(r, side, end.alert);
    }
    if (end.ended()) {
        if (end.judged != 0) return false;
        end.judged = 1;
        if (end.verdict == Kind::closed) {
            ++tls_->tallies.alerts_in[tls::alert_index(static_cast<uint8_t>(tls::Alert::close_notify))];
            return true;
        }
        if (end.verdict == Kind::ended) {
            ++stats.alerts_in;
            ++tls_->tallies.alerts_in[tls::alert_index(static_cast<uint8_t>(end.alert))];
        } else {
            ++stats.bad_records;
        }
        reject_peer(r, side);
        return false;
    }
    if (!fin || r.relay.phase == Phase::answering) return fin;
    // Only where nothing else tells where the stream ends can something be missing.
    ++stats.truncated;
    const bool until_close = side == Side::server && r.relay.phase == Phase::relaying &&
                             r.relay.setup != store::no_chunk && !setup_of(r).response_body.done() &&
                             setup_of(r).response_body.complete_at_close();
    const bool stream = r.relay.setup == store::no_chunk || setup_of(r).request_head_length == 0 || until_close;
    if ((stream || end.raw != store::no_chunk) && !fault(Fault::relay_tls_truncation_unnoticed))
        r.relay.set_end(side == Side::client ? Closer::client : Closer::server, CloseReason::tls_truncated);
    return true;
}

/// The peer has ended the connection by an alert, or its last record can't be believed: then it is told why. Both
/// connections end, but a client whose server has not answered yet is told so.
void Engine::reject_peer(Ref r, Side side) {
    if (r.relay.phase == Phase::answering || !r.relay.is_open(side)) return;
    const bool by_alert = tls_end(r, side).verdict == Kind::ended;
    const CloseReason reason = by_alert ? CloseReason::tls_alert : CloseReason::tls_bad_record;
    const Closer closer = !by_alert ? Closer::balancer : side == Side::client ? Closer::client : Closer::server;
    if (!by_alert) send_alert(r, side, tls_end(r, side).alert);
    if (side == Side::server && r.relay.phase != Phase::relaying) {
        flush_side(r, side);  // the alert goes before the reset
        if (by_alert) count_late_refusal(r);
        return r.relay.phase == Phase::stream ? close_stream(r, StreamEnd::reset) : bad_response(r, reason);
    }
    if (by_alert) return abort(r, closer, reason);
    r.relay.set_end(closer, reason);
    abort_side(r, other(side));
    tcp::shutdown_send(context(r.shard), r.relay.endpoint(side));
    if (!linger(r)) abort_side(r, side);
}

bool Engine::send_record(Ref r, Side side, tls::ContentType type, std::span<const uint8_t> payload) {
    tls::Slot& slot = tls_end(r, side).slot;
    const auto seal = [&] {
        const tls::Bytes pieces[] = {payload};
        const size_t length = tls::seal(tls_->crypto, slot, type, pieces, tls_->sealed.data());
        return std::span<const uint8_t>(tls_->sealed).first(length);
    };
    const size_t length = payload.size() + tls::overhead_bytes(slot.version, slot.suite);
    if (!tcp::send_whole(context(r.shard), r.relay.endpoint(side), length, seal)) return false;
    ++stats_.worker.tls.records_out;
    return true;
}

/// An alert that finds no memory is not sent: the end of the connection follows all the same.
void Engine::send_alert(Ref r, Side side, tls::Alert alert) {
    tls::Slot& slot = tls_end(r, side).slot;
    const auto seal = [&] {
        const size_t length = tls::seal_alert(tls_->crypto, slot, alert, tls_->sealed.data());
        return std::span<const uint8_t>(tls_->sealed).first(length);
    };
    const size_t length = 2 + tls::overhead_bytes(slot.version, slot.suite);
    if (!tcp::send_whole(context(r.shard), r.relay.endpoint(side), length, seal)) return;
    ++stats_.worker.tls.alerts_out;
    ++tls_->tallies.alerts_out[tls::alert_index(static_cast<uint8_t>(alert))];
}

bool Engine::send_key_update(Ref r, Side side) {
    tls::Slot& slot = tls_end(r, side).slot;
    const auto seal = [&] {
        const size_t length = tls::seal_key_update(tls_->crypto, slot, tls_->sealed.data());
        return std::span<const uint8_t>(tls_->sealed).first(length);
    };
    const size_t length = 5 + tls::overhead_bytes(slot.version, slot.suite);
    if (!tcp::send_whole(context(r.shard), r.relay.endpoint(side), length, seal)) return false;
    ++stats_.worker.tls.key_updates_out;
    return true;
}

/// Seals bytes into the side's send queue, in records as large as may be; returns how many were taken.
size_t Engine::send_records(Ref r, Side side, std::span<const uint8_t> bytes) {
    const tls::Slot& slot = tls_end(r, side).slot;
    size_t taken = 0;
    while (taken < bytes.size()) {
        const bool owed = (slot.flags & tls::key_update_owed) != 0 && !fault(Fault::relay_tls_key_update_unanswered);
        if ((owed || tls::key_update_due(slot)) && !send_key_update(r, side)) break;
        const size_t part = std::min(bytes.size() - taken, tls::payload_limit(slot));
        if (!send_record(r, side, tls::ContentType::application_data, bytes.subspan(taken, part))) break;
        taken += part;
    }
    stats_.worker.tls.data_bytes_out += taken;
    return taken;
}

/// Everything but a handshake is sent this way. Returns how many bytes were taken.
size_t Engine::send_to(Ref r, Side side, std::span<const uint8_t> bytes) {
    if (r.relay.has_tls(side)) return send_records(r, side, bytes);
    return tcp::send(context(r.shard), r.relay.endpoint(side), bytes);
}

/// A FIN behind everything that was sent, and with TLS a close_notify before it: not when the other side's end may have
/// been cut off, which must not look whole.
void Engine::finish_side(Ref r, Side side) {
    if (r.relay.has_tls(side) && tls_end(r, side).established()) {
        const bool said = (tls_end(r, side).slot.flags & tls::close_notify_sent) != 0;
        const Closer peer = side == Side::client ? Closer::server : Closer::client;
        const bool whole = r.relay.reason() != CloseReason::tls_truncated || r.relay.closer() != peer;
        if (!said && whole && !fault(Fault::relay_tls_fin_without_notify))
            send_alert(r, side, tls::Alert::close_notify);
    }
    tcp::shutdown_send(context(r.shard), r.relay.endpoint(side));
}

/// The client says no more.
bool Engine::client_has_finished(Ref r) {
    const bool notified = r.relay.has_tls(Side::client) && tls_end(r, Side::client).verdict == Kind::closed;
    return notified || r.relay.client_hot.has(tcp::flag_fin_received);
}

void Engine::begin_tls(Ref r, Side side) {
    r.relay.set_tls(side, true);
    ++r.shard.tls_of(side).used;
    tls_end(r, side) = {};
    tls_end(r, side).seat = no_seat;
}

/// Keys don't outlive their relay.
void Engine::end_tls(Ref r, Side side) {
    --r.shard.tls_of(side).used;
    close_seat(r, side);
    if (const uint8_t waits = tls_end(r, side).waits_for_seat; waits != 0) ++waiting(Seeker(waits - 1)).gone;
    free_raw(r, side);
    r.relay.set_tls(side, false);
    if (fault(Fault::relay_tls_keys_kept)) return;
    tls_->crypto.wipe();
    tls::wipe(tls_end(r, side).slot);
    tls_end(r, side) = {};
}

}  // namespace millrace::relay
