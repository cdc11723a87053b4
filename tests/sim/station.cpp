#include "tests/sim/station.h"

namespace millrace::sim {

void Peer::push() {
    if (end_) return;
    while (queued_ < outgoing_.size()) {
        const std::string_view part = std::string_view(outgoing_).substr(queued_, 16384);
        const size_t taken =
            station_.host_->send(socket_, {reinterpret_cast<const uint8_t*>(part.data()), part.size()});
        queued_ += taken;
        if (taken < part.size()) return;
    }
    if (!finish_ || finished_ || (tls != nullptr && !tls->close_sent() && !truncated_)) return;
    finished_ = true;
    station_.host_->shutdown(socket_);
}

void Peer::send(std::string_view bytes) {
    send_raw(tls == nullptr ? bytes : tls->seal(bytes));
}

void Peer::send_raw(std::string_view bytes) {
    outgoing_.append(bytes);
    push();
}

void Peer::key_update(bool ask) {
    send_raw(tls->key_update(ask));
}

void Peer::shutdown() {
    if (tls != nullptr && !finish_) outgoing_.append(tls->close());
    finish_ = true;
    push();
}

void Peer::truncate() {
    finish_ = truncated_ = true;
    push();
}

void Peer::abort() {
    if (end_) return;
    station_.by_socket_.erase(socket_);
    end_ = End::reset;
    aborted = true;
    station_.host_->abort(socket_);
}

void Peer::pause() {
    if (!end_) station_.host_->set_reading(socket_, false);
}

void Peer::resume() {
    if (!end_) station_.host_->set_reading(socket_, true);
}

IpAddress Station::address_of(bool server, uint8_t number, bool v6) {
    if (!v6) return IpAddress::v4(198, 18, server ? 2 : 1, number);
    IpAddress made = balancer_v6;
    made.bytes[13] = server ? 2 : 1;
    made.bytes[15] = number;
    return made;
}

Station::Station(Network& network, const StationOptions& options)
    : mac_{{2, 0, 0, 0, static_cast<uint8_t>(options.server ? 2 : 1), options.number}},
      address_(address_of(options.server, options.number, options.v6)) {
    HostOptions host;
    host.mac = mac_;
    host.address = address_;
    host.gateway = balancer_mac;
    host.tcp = options.tcp;
    host.receive_buffer_bytes = options.receive_buffer_bytes;
    host.send_queue_bytes = options.send_queue_bytes;
    host.seed = options.seed;
    host_ = std::make_unique<Host>(host, *this);
    network.attach(*host_, mac_, options.link);
}

void Station::listen(uint16_t port, Handler handler) {
    handler_ = std::move(handler);
    host_->listen(port);
}

void Station::listen_tls(uint16_t port, const PeerTlsOptions& options, Handler handler) {
    accepts_tls_ = options;
    listen(port, std::move(handler));
}

Peer& Station::connect(uint16_t port, Handler on_change, const IpAddress& to) {
    const uint16_t own_port = next_port_++;
    const SocketId id = host_->connect(to, port, own_port);
    peers_.push_back(std::make_unique<Peer>(*this, id, own_port));
    peers_.back()->on_change = std::move(on_change);
    by_socket_[id] = peers_.back().get();
    return *peers_.back();
}

Peer& Station::connect_tls(uint16_t port, const PeerTlsOptions& options, Handler on_change, const IpAddress& to) {
    Peer& peer = connect(port, std::move(on_change), to);
    peer.tls = std::make_unique<PeerTls>(options);
    return peer;
}

Peer* Station::peer(SocketId id) {
    const auto found = by_socket_.find(id);
    return found == by_socket_.end() ? nullptr : found->second;
}

void Station::changed(Peer& peer) {
    if (peer.on_change) peer.on_change(peer);
}

void Station::on_open(Host&, SocketId id) {
    Peer* known = peer(id);
    if (known == nullptr) {
        peers_.push_back(std::make_unique<Peer>(*this, id, uint16_t{0}));
        known = by_socket_[id] = peers_.back().get();
        known->on_change = handler_;
        if (accepts_tls_) known->tls = std::make_unique<PeerTls>(*accepts_tls_, Role::server);
    }
    known->open_ = true;
    if (known->tls != nullptr) known->send_raw(known->tls->start());
    known->push();
    changed(*known);
}

void Station::on_data(Host&, SocketId id, std::span<const uint8_t> bytes) {
    Peer* known = peer(id);
    if (known == nullptr) return;
    if (known->tls != nullptr)
        known->send_raw(known->tls->take(bytes, known->received));
    else
        known->received.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    changed(*known);
}

void Station::on_writable(Host&, SocketId id) {
    if (Peer* known = peer(id)) known->push();
}

void Station::on_peer_fin(Host&, SocketId id) {
    Peer* known = peer(id);
    if (known == nullptr) return;
    known->fin = true;
    changed(*known);
}

void Station::on_end(Host&, SocketId id, End how) {
    Peer* known = peer(id);
    if (known == nullptr) return;
    by_socket_.erase(id);
    known->end_ = how;
    changed(*known);
}

}  // namespace millrace::sim
