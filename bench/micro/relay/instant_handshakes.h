// Handshakes that are over as soon as they begin: every client has the same keys (its slot, of course, is its own),
// says the few bytes of `instant_hello`, and behind them whatever it likes in records. For benchmarks of what comes
// after.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <vector>

#include "dataplane/relay/handshakes.h"
#include "tls/record/key_schedule.h"
#include "tls/record/post_handshake.h"
#include "tls/record/record.h"

namespace millrace::relay {

/// A whole ClientHello, as far as anybody looks who does not shake hands: an empty message.
inline constexpr std::array<uint8_t, 9> instant_hello{0x16, 3, 1, 0, 4, 1, 0, 0, 0};

class InstantHandshakes final : public Handshakes {
  public:
    InstantHandshakes() {
        ours_.version = theirs_.version = tls::Version::tls13;
        ours_.suite = theirs_.suite = tls::Suite::aes_128_gcm_sha256;
        theirs_.flags = tls::client_role;
        std::array<uint8_t, 32> up, down;
        up.fill(1);
        down.fill(2);
        set_keys(up, ours_.read, ours_.read_secret, theirs_.write, theirs_.write_secret);
        set_keys(down, ours_.write, ours_.write_secret, theirs_.read, theirs_.read_secret);
    }

    /// A client's first words: the hello, and `text` in a record.
    std::vector<uint8_t> first_words(std::span<const uint8_t> text) {
        std::vector<uint8_t> words(instant_hello.begin(), instant_hello.end());
        words.resize(words.size() + text.size() + tls::control_record_bytes_max);
        tls::Slot slot = theirs_;
        const tls::Bytes pieces[] = {text};
        words.resize(instant_hello.size() + tls::seal(crypto_, slot, tls::ContentType::application_data, pieces,
                                                      words.data() + instant_hello.size()));
        return words;
    }

    uint16_t seat_count() const override { return static_cast<uint16_t>(seats_.size()); }
    std::optional<uint16_t> open(uint16_t) override {
        for (uint16_t seat = 0; seat < seats_.size(); ++seat) {
            if (seats_[seat].taken) continue;
            seats_[seat].taken = true;
            seats_[seat].words.clear();
            return seat;
        }
        return std::nullopt;
    }
    std::optional<uint16_t> open_to(const ServerPeer&) override { return std::nullopt; }
    size_t put(uint16_t seat, std::span<const uint8_t> bytes) override {
        seats_[seat].words.insert(seats_[seat].words.end(), bytes.begin(), bytes.end());
        return bytes.size();
    }
    void submit(uint16_t seat) override { done_.push_back(seat); }
    std::optional<uint16_t> poll() override {
        if (done_.empty()) return std::nullopt;
        const uint16_t seat = done_.front();
        done_.pop_front();
        return seat;
    }
    Answer answer(uint16_t seat) const override {
        const std::span<const uint8_t> behind = std::span(seats_[seat].words).subspan(instant_hello.size());
        return {.state = State::done, .output = {}, .slot = ours_, .leftover = behind, .resumed = false};
    }
    void close(uint16_t seat) override { seats_[seat].taken = false; }
    Load load() const override { return {}; }

  private:
    struct Seat {
        bool taken = false;
        std::vector<uint8_t> words;
    };

    void set_keys(tls::Bytes secret, tls::Direction& a, std::array<uint8_t, tls::hash_bytes_max>& a_secret,
                  tls::Direction& b, std::array<uint8_t, tls::hash_bytes_max>& b_secret) {
        std::ranges::copy(secret, a_secret.begin());
        std::ranges::copy(secret, b_secret.begin());
        tls::set_traffic_keys(crypto_, tls::Suite::aes_128_gcm_sha256, secret, a);
        tls::set_traffic_keys(crypto_, tls::Suite::aes_128_gcm_sha256, secret, b);
    }

    tls::Crypto crypto_;
    tls::Slot ours_{}, theirs_{};
    std::vector<Seat> seats_ = std::vector<Seat>(256);
    std::deque<uint16_t> done_;
};

}  // namespace millrace::relay
