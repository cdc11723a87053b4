// The clients' TLS: handshakes step by step, and then records to bytes and back, between TCP and what engine.cpp makes
// of the bytes. What comes is a stream of records, cut anywhere by TCP:
//
//   segment ─► whole record ─────────────────► open ─► consume()
//         └──► part of one ─► raw (one chunk) ──┘
//
// What follows from a step or a verdict is noted inside tcp::receive() and acted upon after it.

#include <algorithm>
#include <cstring>

#include "dataplane/tcp/close.h"
#include "dataplane/tcp/sender.h"
#include "load/engine.h"
#include "tls/record/record.h"

namespace millrace::load {
namespace {

using VerdictKind = tls::Verdict::Kind;

/// The first bytes of two pieces, as many as `to` has.
void copy_front(std::span<const uint8_t> first, std::span<const uint8_t> second, std::span<uint8_t> to) {
    const size_t part = std::min(first.size(), to.size());
    std::copy_n(first.begin(), part, to.begin());
    std::copy_n(second.begin(), to.size() - part, to.begin() + static_cast<ptrdiff_t>(part));
}

}  // namespace

void Engine::begin_handshake(Ref ref) {
    Connection& connection = at(ref);
    connection.phase = Phase::tls_handshake;
    const auto server = std::ranges::find_if(targets_, [&](const Target& target) {
        return target.address == connection.hot.peer && target.port == connection.hot.peer_port;
    });
    tls_->handshakes.begin(ref.index(), static_cast<size_t>(server - targets_.begin()), now_);
    step_handshake(ref, {});
    act_on_handshake(ref);
}

void Engine::consume_tls(Ref ref, std::span<const uint8_t> bytes) {
    TlsEnd& end = tls_end(ref);
    if (!end.established()) {
        if (at(ref).phase == Phase::tls_handshake && !arrived_.tls_failed) step_handshake(ref, bytes);
        return;
    }
    if (end.reads_along != 0 && !tls_->handshakes.read_along(ref.index(), bytes)) end.reads_along = 0;
    consume_records(ref, bytes);
}

void Engine::step_handshake(Ref ref, std::span<const uint8_t> bytes) {
    TlsEnd& end = tls_end(ref);
    const Handshakes::Progress progress = tls_->handshakes.step(ref.index(), bytes, tls_->crypto, end.slot, now_);
    arrived_.tls_output.insert(arrived_.tls_output.end(), progress.output.begin(), progress.output.end());
    arrived_.tls_failed = progress.state == Handshakes::State::failed;
    if (progress.state != Handshakes::State::done) return;
    arrived_.tls_begins = true;
    end.reads_along = progress.reads_along ? 1 : 0;
    consume_records(ref, progress.leftover);
}

void Engine::act_on_handshake(Ref ref) {
    const std::span<const uint8_t> output = arrived_.tls_output;
    const bool sent = tcp::send(context(), at(ref).endpoint(), output) == output.size();
    arrived_.tls_output.clear();
    if (!sent || arrived_.tls_failed) {
        tell_end(ref, End::tls_failed);
        tcp::shutdown_send(context(), at(ref).endpoint());  // behind the alert
    } else if (arrived_.tls_begins) {
        begin_upgrade(ref);
    }
}

void Engine::consume_records(Ref ref, std::span<const uint8_t> bytes) {
    while (!bytes.empty() && !tls_end(ref).ended()) bytes = bytes.subspan(take_record(ref, bytes));
}

/// One record, or what there is of it. Returns how many of the bytes that were.
size_t Engine::take_record(Ref ref, std::span<const uint8_t> bytes) {
    TlsEnd& end = tls_end(ref);
    const std::span<const uint8_t> held =
        end.raw == store::no_chunk ? std::span<const uint8_t>{} : tables_.chunks.payload(end.raw);
    std::array<uint8_t, tls::record_header_bytes> start;
    if (held.size() + bytes.size() < start.size()) return keep_raw(end, bytes, start.size());
    copy_front(held, bytes, start);
    const tls::RecordHeader header = tls::read_header(end.slot, start);
    const size_t whole = start.size() + header.length;
    if (!header.valid || whole > record_bytes_max) {
        end.verdict = VerdictKind::failed;
        end.alert = header.valid ? tls::Alert::record_overflow : header.alert;
        return bytes.size();
    }
    if (held.size() + bytes.size() < whole) return keep_raw(end, bytes, whole);
    const size_t rest = whole - held.size(), skipped = std::min(held.size(), start.size());
    const tls::Bytes pieces[] = {held.subspan(skipped), bytes.first(rest).subspan(start.size() - skipped)};
    open_record(ref, start, pieces);
    free_raw(end);
    return rest;
}

/// Stores a part of a record that will have `whole` bytes.
size_t Engine::keep_raw(TlsEnd& end, std::span<const uint8_t> bytes, size_t whole) {
    store::ChunkStore& chunks = tables_.chunks;
    const size_t held = end.raw == store::no_chunk ? 0 : chunks.header(end.raw).length;
    if (end.raw == store::no_chunk || chunks.capacity(end.raw).size() < whole) {
        const store::ChunkId larger = chunks.allocate(static_cast<uint32_t>(whole));
        if (larger == store::no_chunk) {
            arrived_.broken = true;
            return bytes.size();
        }
        if (held != 0) std::memcpy(chunks.capacity(larger).data(), chunks.payload(end.raw).data(), held);
        free_raw(end);
        end.raw = larger;
    }
    std::memcpy(chunks.capacity(end.raw).data() + held, bytes.data(), bytes.size());
    chunks.header(end.raw).length = static_cast<uint16_t>(held + bytes.size());
    return bytes.size();
}

void Engine::free_raw(TlsEnd& end) {
    if (end.raw != store::no_chunk) tables_.chunks.free(end.raw);
    end.raw = store::no_chunk;
}

void Engine::open_record(Ref ref, std::span<const uint8_t, tls::record_header_bytes> header, tls::Pieces pieces) {
    TlsEnd& end = tls_end(ref);
    const tls::Opened opened = tls::open(tls_->crypto, end.slot, header, pieces, tls_->opened.data());
    const std::span<const uint8_t> payload = std::span(tls_->opened).first(opened.length);
    const tls::Verdict verdict = opened.valid ? tls::judge(tls_->crypto, end.slot, opened.type, payload)
                                              : tls::Verdict{VerdictKind::failed, opened.alert};
    if (verdict.kind != VerdictKind::carry_on) {
        end.verdict = verdict.kind;
        end.alert = verdict.alert;
    } else if (opened.type == tls::ContentType::application_data) {
        consume(at(ref), ref.role(), payload);
    }
}

void Engine::act_on_verdict(Ref ref) {
    TlsEnd& end = tls_end(ref);
    if (end.verdict == VerdictKind::warn) {
        end.verdict = VerdictKind::carry_on;
        send_alert(ref, end.alert);
    }
    if (!end.ended() || end.judged != 0) return;
    end.judged = 1;
    if (end.verdict == VerdictKind::closed) {
        tell_end(ref, End::peer_closed);
        return finish_sending(ref);
    }
    tell_end(ref, End::tls_failed);
    if (end.verdict == VerdictKind::ended) return abort(ref);
    ledger_.note_corrupted();
    send_alert(ref, end.alert);
    tcp::shutdown_send(context(), at(ref).endpoint());
}

/// Appends the record that `seal` makes of so many bytes; false, with none made, when there is no memory for all of it.
bool Engine::send_sealed(Ref ref, size_t payload_bytes, tcp::FunctionRef<size_t(uint8_t* out)> seal) {
    const tls::Slot& slot = tls_end(ref).slot;
    const auto make = [&] { return std::span<const uint8_t>(tls_->sealed).first(seal(tls_->sealed.data())); };
    const size_t length = payload_bytes + tls::overhead_bytes(slot.version, slot.suite);
    return tcp::send_whole(context(), at(ref).endpoint(), length, make);
}

void Engine::send_alert(Ref ref, tls::Alert alert) {
    send_sealed(ref, 2, [&](uint8_t* out) { return tls::seal_alert(tls_->crypto, tls_end(ref).slot, alert, out); });
}

/// In records as large as may be. Returns how many of the bytes were taken.
size_t Engine::send_records(Ref ref, std::span<const uint8_t> bytes) {
    tls::Slot& slot = tls_end(ref).slot;
    const auto update = [&](uint8_t* out) { return tls::seal_key_update(tls_->crypto, slot, out); };
    size_t taken = 0;
    while (taken < bytes.size()) {
        const bool owed = (slot.flags & tls::key_update_owed) != 0;
        if ((owed || tls::key_update_due(slot)) && !send_sealed(ref, 5, update)) break;
        const size_t part = std::min(bytes.size() - taken, tls::payload_limit(slot));
        const tls::Bytes pieces[] = {bytes.subspan(taken, part)};
        const auto seal = [&](uint8_t* out) {
            return tls::seal(tls_->crypto, slot, tls::ContentType::application_data, pieces, out);
        };
        if (!send_sealed(ref, part, seal)) break;
        taken += part;
    }
    return taken;
}

void Engine::end_tls(Ref ref) {
    TlsEnd& end = tls_end(ref);
    tls_->handshakes.end(ref.index());
    free_raw(end);
    tls::wipe(end.slot);
    end = {};
}

}  // namespace millrace::load
