// No key ever meets one nonce twice, over more than 2^32 records of a connection, and wherever its process is ended.
//
// Real: seal(), seal_key_update(), key_update_due(), the key schedule, and the order in which they store what they
// change. Simulated: most of the records. They are sealed around every power of two and every change of keys; the
// numbers between are skipped by setting the slot's own forward, never back.
//
// Whether a pair was used before is judged from outside, as by who listens: what is known of the text is taken off the
// ciphertext, which leaves the keystream, and that is the same exactly for the same key and nonce. Six bytes of it, all
// that a KeyUpdate shows, meet by chance once in 2^48.
#include <gtest/gtest.h>
#include <set>
#include <vector>

#include "ends.h"
#include "step.h"
#include "tls/record/post_handshake.h"

namespace millrace::tls {
namespace {

constexpr uint64_t records_wanted = (uint64_t{1} << 32) + 1000;
constexpr size_t text_bytes = 16;

using Keystream = std::array<uint8_t, watched_bytes>;

/// What begins every record of application data, and every KeyUpdate with its type behind it.
constexpr Keystream zeros{};
constexpr Keystream key_update_text{24, 0, 0, 1, 0, 22};

/// The sending end of a connection, and what it has shown.
struct Sender {
    Sender(Crypto& with, Version version, Suite suite) : crypto(with) {
        slot.version = version;
        slot.suite = suite;
        std::ranges::copy(pattern(key_bytes(suite), 1), slot.write.key.begin());
        std::ranges::copy(pattern(nonce_bytes, 2), slot.write.iv.begin());
        std::ranges::copy(pattern(hash_bytes(suite), 3), slot.write_secret.begin());
    }

    const uint8_t* ciphertext() const {
        return record.data() + record_header_bytes + explicit_nonce_bytes(slot.version, slot.suite);
    }
    void seal_text() {
        static constexpr std::array<uint8_t, text_bytes> text{};
        const Bytes pieces[] = {text};
        seal(crypto, slot, ContentType::application_data, pieces, record.data());
    }
    void seal_update() { seal_key_update(crypto, slot, record.data()); }

    /// What was sealed last has been seen.
    void show(const Keystream& text) {
        Keystream stream;
        for (size_t i = 0; i < stream.size(); ++i) stream[i] = ciphertext()[i] ^ text[i];
        repeated += used.insert(stream).second ? 0 : 1;
        ++records;
    }
    /// As the relay does: new keys first, when they are due.
    void send() {
        if (key_update_due(slot)) {
            seal_update();
            show(key_update_text);
            ++updates;
        }
        seal_text();
        show(zeros);
        if (slot.version == Version::tls13) past_limit += slot.write.sequence > records_per_key ? 1 : 0;
    }
    void send(int count) {
        for (int i = 0; i < count; ++i) send();
    }
    /// As if everything up to that number had been sent.
    void skip_to(uint64_t sequence) {
        if (sequence <= slot.write.sequence) return;
        records += sequence - slot.write.sequence;
        slot.write.sequence = sequence;
    }
    /// Through all that is left of this key's numbers, in TLS 1.2 through all that are wanted, and a little further.
    void send_on() {
        const uint64_t end = slot.version == Version::tls13 ? records_per_key : records_wanted;
        send(4);
        for (uint64_t power = 8; power < end; power *= 2) {
            skip_to(power - 2);
            send(4);
        }
        skip_to(end - 2);
        send(4);
    }

    Crypto& crypto;
    Slot slot{};
    std::array<uint8_t, 128> record{};
    std::set<Keystream> used;
    uint64_t records = 0, updates = 0, repeated = 0, past_limit = 0;
};

struct Nonces : testing::TestWithParam<std::tuple<Version, Suite>> {
    Crypto crypto;
    Sender sender{crypto, std::get<0>(GetParam()), std::get<1>(GetParam())};
};
std::string name_of(const testing::TestParamInfo<std::tuple<Version, Suite>>& of) {
    const bool tls12 = std::get<0>(of.param) == Version::tls12;
    return (tls12 ? "Tls12Suite" : "Tls13Suite") + std::to_string(int(std::get<1>(of.param)));
}
INSTANTIATE_TEST_SUITE_P(Suites, Nonces,
                         testing::Combine(testing::Values(Version::tls12, Version::tls13), testing::ValuesIn(suites)),
                         name_of);

struct NoncesTls13 : Nonces {};
INSTANTIATE_TEST_SUITE_P(Suites, NoncesTls13,
                         testing::Combine(testing::Values(Version::tls13), testing::ValuesIn(suites)), name_of);

TEST_P(Nonces, NoneIsUsedTwiceInFourBillionRecords) {
    while (sender.records < records_wanted) sender.send_on();
    EXPECT_EQ(sender.repeated, 0u);
    EXPECT_EQ(sender.past_limit, 0u);
    EXPECT_GT(sender.used.size(), 100u);
    EXPECT_GE(sender.updates, sender.slot.version == Version::tls13 ? records_wanted / records_per_key : 0);
}

// OpenSSL's explicit nonces of TLS 1.2 begin anywhere.
TEST_P(Nonces, NoneIsUsedTwiceWhereTheExplicitOneOverflows) {
    std::fill_n(sender.slot.write.iv.begin() + 4, 8, uint8_t{0xff});
    while (sender.records < records_wanted) sender.send_on();
    EXPECT_EQ(sender.repeated, 0u);
}

/// Whoever goes on with what is stored at one of these moments uses no pair that may have been seen by then.
void expect_successors_repeat_nothing(const Sender& before, const Sender& after, const Keystream& text,
                                      const std::vector<Moment>& moments) {
    uint64_t shown = 0;
    for (size_t number = 0; number < moments.size(); ++number) {
        Sender successor = before;
        successor.slot = moments[number].slot;
        // From its first ciphertext on the record may have left.
        if (std::equal(moments[number].record.begin(), moments[number].record.end(), after.ciphertext())) {
            successor.record = after.record;
            successor.show(text);
            ++shown;
        }
        successor.send(3);
        for (int keys = 0; keys < 3; ++keys) successor.send_on();
        EXPECT_EQ(successor.repeated, 0u) << "after moment " << number << " of " << moments.size();
    }
    EXPECT_GT(shown, 0u);
    EXPECT_LT(shown, moments.size()) << "the process was not ended before the record was there";
}

TEST_P(Nonces, AProcessMayEndAtAnyInstructionOfSealing) {
    for (const uint64_t at : {uint64_t{0}, uint64_t{255}, records_per_key - 1}) {
        sender.skip_to(at);
        const Sender before = sender;
        const auto moments = Stepper::moments(sender.slot, sender.ciphertext(), [&] { sender.seal_text(); });
        expect_successors_repeat_nothing(before, sender, zeros, moments);
        sender.show(zeros);
    }
}

TEST_P(NoncesTls13, AProcessMayEndAtAnyInstructionOfAKeyUpdate) {
    for (const uint64_t at : {uint64_t{0}, records_per_key}) {
        sender.send(2);  // what was sealed under the first numbers must not come again
        sender.skip_to(at);
        const Sender before = sender;
        const auto moments = Stepper::moments(sender.slot, sender.ciphertext(), [&] { sender.seal_update(); });
        EXPECT_GT(moments.size(), 4u) << "the number, the record, the secret, the key, the number again";
        expect_successors_repeat_nothing(before, sender, key_update_text, moments);
        sender.show(key_update_text);
    }
}

}  // namespace
}  // namespace millrace::tls
