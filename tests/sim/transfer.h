// An application for simulated hosts and its oracle: each side sends a known, seeded stream of bytes, closes, and
// compares every byte that arrives with what the other side must have sent.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/host.h"

namespace millrace::sim {

/// The byte at `offset` of stream `key`: different for neighbours, offsets and keys.
inline uint8_t stream_byte(uint64_t key, uint64_t offset) {
    uint64_t z = (key + offset / 8) * 0x9e3779b97f4a7c15;
    z = (z ^ z >> 29) * 0xbf58476d1ce4e5b9;
    return static_cast<uint8_t>((z ^ z >> 32) >> (offset % 8 * 8));
}

struct TransferOptions {
    uint64_t send_key = 0, receive_key = 0;
    uint64_t send_bytes = 0, receive_bytes = 0;
    size_t write_bytes = 4096;         ///< one send() call takes at most this
    bool close_after_send = true;      ///< FIN behind the last byte
    bool close_after_receive = false;  ///< FIN when the peer's FIN has come (and everything is sent)
};

class Transfer : public Application {
  public:
    explicit Transfer(const TransferOptions& options) : options_(options) {}

    void on_open(Host& host, SocketId id) override {
        socket = id;
        opened = true;
        pump(host, id);
    }
    void on_writable(Host& host, SocketId id) override { pump(host, id); }
    void on_data(Host&, SocketId, std::span<const uint8_t> bytes) override {
        if (fin_seen) fail("data after the FIN");
        for (uint8_t byte : bytes) {
            if (received >= options_.receive_bytes)
                fail("more bytes than were sent");
            else if (byte != stream_byte(options_.receive_key, received))
                fail("wrong byte at offset " + std::to_string(received));
            ++received;
        }
    }
    void on_peer_fin(Host& host, SocketId id) override {
        if (received != options_.receive_bytes) fail("FIN after " + std::to_string(received) + " bytes");
        if (fin_seen) fail("two FINs");
        fin_seen = true;
        if (options_.close_after_receive && sent == options_.send_bytes) host.shutdown(id);
    }
    void on_end(Host&, SocketId, End how) override {
        ended = true;
        end = how;
    }

    /// Sends as much as the queue takes.
    void pump(Host& host, SocketId id) {
        while (sent < options_.send_bytes && !paused) {
            std::vector<uint8_t> bytes(std::min<uint64_t>(options_.write_bytes, options_.send_bytes - sent));
            for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = stream_byte(options_.send_key, sent + i);
            const size_t taken = host.send(id, bytes);
            sent += taken;
            if (taken < bytes.size()) return;
        }
        if (paused || sent < options_.send_bytes || shut) return;
        if (options_.close_after_send || (options_.close_after_receive && fin_seen)) {
            host.shutdown(id);
            shut = true;
        }
    }

    bool complete() const { return ended && end == End::closed && fin_seen && received == options_.receive_bytes; }

    SocketId socket = 0;
    uint64_t sent = 0, received = 0;
    bool opened = false, fin_seen = false, ended = false, shut = false, paused = false;
    End end = End::closed;
    std::string failure;

  private:
    void fail(const std::string& what) {
        if (failure.empty()) failure = what;
    }

    TransferOptions options_;
};

}  // namespace millrace::sim
