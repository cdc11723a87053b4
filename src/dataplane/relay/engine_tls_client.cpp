// The handshake of a client with TLS, before its request. Until it is done the relay has its Setup, whose `request`
// holds what waits for the next step.
//
// A seat is taken when the whole ClientHello is there, so nobody holds one by saying little, and that first step is not
// wasted. The listener's handshake timeout bounds the whole: who gets no seat until then is reset, like whoever finds
// the queue full.

#include <algorithm>
#include <array>

#include "dataplane/base/fault.h"
#include "dataplane/relay/engine.h"
#include "tls/record/record.h"

namespace millrace::relay {
namespace {

constexpr size_t handshake_header_bytes = 4;  // of a message: its type, 24 bits of length
constexpr uint8_t record_version_major = 3;

enum class Hello : uint8_t { none, part, whole };

/// How much of a ClientHello is there. It may be cut over several records; who sends more than one step takes is
/// heard up to there. `none`: this is no TLS.
Hello look_for_hello(std::span<const uint8_t> bytes) {
    size_t body = 0, wanted = handshake_header_bytes;
    std::array<uint8_t, handshake_header_bytes> header{};
    for (size_t at = 0; at < bytes.size();) {
        const std::span<const uint8_t> record = bytes.subspan(at);
        if (record[0] != static_cast<uint8_t>(tls::ContentType::handshake)) return Hello::none;
        if (record.size() > 1 && record[1] != record_version_major) return Hello::none;
        if (record.size() < tls::record_header_bytes) break;
        const size_t length = size_t{record[3]} << 8 | record[4];
        const std::span<const uint8_t> part =
            record.subspan(tls::record_header_bytes, std::min(length, record.size() - tls::record_header_bytes));
        for (size_t i = 0; body + i < header.size() && i < part.size(); ++i) header[body + i] = part[i];
        body += part.size();
        if (body >= header.size())
            wanted = header.size() + (size_t{header[1]} << 16 | size_t{header[2]} << 8 | header[3]);
        if (body >= wanted) return Hello::whole;
        at += tls::record_header_bytes + part.size();
    }
    return bytes.size() >= handshake_step_bytes ? Hello::whole : Hello::part;
}

}  // namespace

/// A client with TLS has connected.
void Engine::begin_client_handshake(Ref r, const config::Listener& listener) {
    begin_tls(r, Side::client);
    set_phase(r, Phase::tls_handshake, now_ + listener.record->handshake_timeout_ms * us_per_ms);
}

/// Whether its handshake has a seat now, or does not need one.
bool Engine::client_may_begin(Ref r) {
    switch (look_for_hello(r.shard.chunks.payload(setup_of(r).request))) {
        case Hello::none:
            ++stats_.worker.tls.handshakes_failed;
            abort(r, Closer::balancer, CloseReason::tls_handshake);
            return false;
        case Hello::part:
            return false;
        case Hello::whole:
            break;
    }
    if (waiting(Seeker::client).count == 0 && take_seat(r, Seeker::client)) return true;
    wait_for_seat(r, Seeker::client);
    return false;
}

/// From here on the records are ours. Those that came behind the handshake are opened now.
void Engine::end_client_handshake(Ref r, const Handshakes::Answer& answer) {
    TlsStats& stats = stats_.worker.tls;
    ++(answer.slot.version == tls::Version::tls13 ? stats.handshakes_tls13 : stats.handshakes_tls12);
    if (answer.resumed) ++stats.handshakes_resumed;
    tls_end(r, Side::client).slot = answer.slot;
    const store::ChunkId held = std::exchange(setup_of(r).request, store::no_chunk);
    const config::Listener* listener = config_->listener_of_slot(r.relay.listener_slot);
    if (listener == nullptr) {
        if (held != store::no_chunk) r.shard.chunks.free(held);
        return abort(r, Closer::balancer, CloseReason::no_server);
    }
    await_request(r, *listener);
    if (!keep_subject(r, *listener, answer.subject)) {
        if (held != store::no_chunk) r.shard.chunks.free(held);
        return abort(r, Closer::balancer, CloseReason::no_memory);
    }
    take_leftover(r, Side::client, answer, held);
}

void Engine::fail_client_handshake(Ref r, bool own_fault) {
    ++(own_fault ? stats_.worker.tls.handshakes_refused : stats_.worker.tls.handshakes_failed);
    r.relay.set_end(Closer::balancer, own_fault ? CloseReason::tls_refused : CloseReason::tls_handshake);
    close_seat(r, Side::client);
    close_client(r);
}

/// For the request that it will be told with. False when there is no memory, or it is too long.
bool Engine::keep_subject(Ref r, const config::Listener& listener, std::string_view subject) {
    if (subject.empty() || listener.record->client_subject_header.length == 0) return true;
    if (subject.size() > subject_bytes_max) return false;
    const std::span<const uint8_t> text(reinterpret_cast<const uint8_t*>(subject.data()), subject.size());
    return append(r, setup_of(r).subject, text) == text.size();
}

void Engine::on_client_handshake_deadline(Ref r) {
    const bool no_seat_came = tls_end(r, Side::client).waits_for_seat != 0;
    ++(no_seat_came ? stats_.worker.tls.handshakes_refused : stats_.worker.tls.handshakes_timed_out);
    abort(r, Closer::balancer, no_seat_came ? CloseReason::tls_refused : CloseReason::tls_timeout);
}

}  // namespace millrace::relay
