// Sealing and opening one record, by its payload and by how many connections take turns (so that keys are cold), beside
// the bare calls of ipsec-mb: the direct ones with a key that is expanded once, and bursts of eight jobs of eight keys.
// Reports TSC cycles per record. record_beside_ipsec_mb takes turns between records and bare calls, and tells the
// ratio.
#include "tls/record/record.h"

#include <algorithm>
#include <benchmark/benchmark.h>
#include <cstring>
#include <vector>
#include <x86intrin.h>

namespace millrace::tls {
namespace {

constexpr size_t record_room = payload_bytes_max + 64;

/// Counts cycles from its making to stop().
struct Cycles {
    explicit Cycles(benchmark::State& of) : state(of), start(__rdtsc()) {}
    void stop(double records) const { state.counters["cycles"] = static_cast<double>(__rdtsc() - start) / records; }

    benchmark::State& state;
    uint64_t start;
};

/// Slots in random order of use.
struct Slots {
    explicit Slots(const benchmark::State& state) : slots(static_cast<size_t>(state.range(1))) {
        uint32_t seed = 1;
        for (Slot& slot : slots) {
            slot.version = Version::tls13;
            slot.suite = static_cast<Suite>(state.range(2));
            for (Direction* direction : {&slot.read, &slot.write})
                for (uint8_t& byte : direction->key)
                    byte = static_cast<uint8_t>((seed = seed * 1664525 + 1013904223) >> 24);
        }
    }
    Slot& next() { return slots[(random = random * 1664525 + 1013904223) % slots.size()]; }

    std::vector<Slot> slots;
    uint32_t random = 5;
};

void record_seal(benchmark::State& state) {
    Slots slots(state);
    Crypto crypto;
    std::vector<uint8_t> payload(static_cast<size_t>(state.range(0)), 'x'), record(record_room);
    const Bytes pieces[] = {payload};
    const Cycles cycles(state);
    for (auto _ : state)
        benchmark::DoNotOptimize(seal(crypto, slots.next(), ContentType::application_data, pieces, record.data()));
    cycles.stop(static_cast<double>(state.iterations()));
}

void record_open(benchmark::State& state) {
    Slots slots(state);
    Crypto crypto;
    std::vector<uint8_t> payload(static_cast<size_t>(state.range(0)), 'x'), record(record_room), out(record_room);
    const Bytes pieces[] = {payload};
    Slot sender = slots.slots[0];
    const size_t length = seal(crypto, sender, ContentType::application_data, pieces, record.data());
    for (Slot& slot : slots.slots) slot.read = slots.slots[0].write;
    const Bytes rest[] = {Bytes(record).first(length).subspan(record_header_bytes)};
    const Cycles cycles(state);
    for (auto _ : state) {
        Slot& slot = slots.next();
        slot.read.sequence = 0;
        if (!open(crypto, slot, Bytes(record).first<record_header_bytes>(), rest, out.data()).valid)
            state.SkipWithError("the record was refused");
    }
    cycles.stop(static_cast<double>(state.iterations()));
}

/// The direct calls, with one key that is expanded once.
class Bare {
  public:
    explicit Bare(Suite suite) : suite_(suite) {
        init_mb_mgr_auto(manager_, nullptr);
        IMB_AES128_GCM_PRE(manager_, raw_, &keys_[0]);
        IMB_AES256_GCM_PRE(manager_, raw_, &keys_[1]);
    }
    ~Bare() { free_mb_mgr(manager_); }
    Bare(const Bare&) = delete;
    Bare& operator=(const Bare&) = delete;

    /// The tag behind the ciphertext.
    void seal(Bytes payload, uint8_t* out) {
        if (suite_ == Suite::chacha20_poly1305_sha256) {
            IMB_CHACHA20_POLY1305_INIT(manager_, raw_, &chacha_, nonce_, associated_, sizeof associated_);
            IMB_CHACHA20_POLY1305_ENC_UPDATE(manager_, raw_, &chacha_, out, payload.data(), payload.size());
            IMB_CHACHA20_POLY1305_ENC_FINALIZE(manager_, &chacha_, out + payload.size(), tag_bytes);
        } else {
            const bool short_key = suite_ == Suite::aes_128_gcm_sha256;
            const auto encrypt = short_key ? manager_->gcm128_enc : manager_->gcm256_enc;
            encrypt(&keys_[short_key ? 0 : 1], &gcm_, out, payload.data(), payload.size(), nonce_, associated_,
                    sizeof associated_, out + payload.size(), tag_bytes);
        }
        benchmark::ClobberMemory();
    }

  private:
    alignas(64) gcm_key_data keys_[2];  // AES-128's, AES-256's
    gcm_context_data gcm_;
    chacha20_poly1305_context_data chacha_;
    IMB_MGR* manager_ = alloc_mb_mgr(0);
    Suite suite_;
    const uint8_t raw_[32] = {1}, nonce_[12] = {}, associated_[5] = {};
};

void ipsec_mb_direct(benchmark::State& state) {
    Bare bare(static_cast<Suite>(state.range(1)));
    std::vector<uint8_t> payload(static_cast<size_t>(state.range(0)), 'x'), record(record_room);
    const Cycles cycles(state);
    for (auto _ : state) bare.seal(payload, record.data());
    cycles.stop(static_cast<double>(state.iterations()));
}

double median(std::vector<double>& values) {
    const auto middle = values.begin() + static_cast<long>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/// Cycles of one call, as the mean of a batch.
double cycles_each(auto&& call) {
    constexpr int batch = 32;
    const uint64_t start = __rdtsc();
    for (int i = 0; i < batch; ++i) call();
    return static_cast<double>(__rdtsc() - start) / batch;
}

/// How fast records are sealed and opened, as a part of the speed of the bare calls: medians of batches that take
/// turns.
void record_beside_ipsec_mb(benchmark::State& state) {
    Bare bare(static_cast<Suite>(state.range(1)));
    Crypto crypto;
    Slot slot{};
    slot.version = Version::tls13;
    slot.suite = static_cast<Suite>(state.range(1));
    std::vector<uint8_t> payload(static_cast<size_t>(state.range(0)), 'x'), record(record_room), out(record_room);
    const Bytes pieces[] = {payload};
    const auto seal_one = [&] { return seal(crypto, slot, ContentType::application_data, pieces, record.data()); };
    std::vector<double> bares, seals, opens;
    for (auto _ : state) {
        bares.push_back(cycles_each([&] { bare.seal(payload, out.data()); }));
        seals.push_back(cycles_each([&] { benchmark::DoNotOptimize(seal_one()); }));
        slot.write.sequence = 0;
        const Bytes rest[] = {Bytes(record).first(seal_one()).subspan(record_header_bytes)};
        opens.push_back(cycles_each([&] {
            slot.read.sequence = 0;
            if (!open(crypto, slot, Bytes(record).first<record_header_bytes>(), rest, out.data()).valid)
                state.SkipWithError("the record was refused");
        }));
    }
    const double bare_cycles = median(bares);
    state.counters["bare_cycles"] = bare_cycles;
    state.counters["seal_cycles"] = median(seals);
    state.counters["open_cycles"] = median(opens);
    state.counters["seal_ratio"] = bare_cycles / median(seals);
    state.counters["open_ratio"] = bare_cycles / median(opens);
}

void ipsec_mb_jobs(benchmark::State& state) {
    constexpr size_t count = 8;
    IMB_MGR* manager = alloc_mb_mgr(0);
    init_mb_mgr_auto(manager, nullptr);
    std::vector<gcm_key_data> storage(count + 1);
    auto* keys = reinterpret_cast<gcm_key_data*>((reinterpret_cast<uintptr_t>(storage.data()) + 63) & ~uintptr_t{63});
    std::vector<uint8_t> payload(static_cast<size_t>(state.range(0)), 'x'), records(count * record_room);
    const uint8_t nonce[12] = {}, associated[5] = {};
    const Cycles cycles(state);
    for (auto _ : state) {
        for (size_t i = 0; i < count; ++i) {
            const uint8_t raw[16] = {static_cast<uint8_t>(i)};
            IMB_AES128_GCM_PRE(manager, raw, &keys[i]);
            IMB_JOB* job = IMB_GET_NEXT_JOB(manager);
            std::memset(job, 0, sizeof *job);
            job->cipher_mode = IMB_CIPHER_GCM;
            job->hash_alg = IMB_AUTH_AES_GMAC;
            job->cipher_direction = IMB_DIR_ENCRYPT;
            job->chain_order = IMB_ORDER_CIPHER_HASH;
            job->enc_keys = job->dec_keys = &keys[i];
            job->key_len_in_bytes = 16;
            job->iv = nonce;
            job->iv_len_in_bytes = sizeof nonce;
            job->src = payload.data();
            job->dst = records.data() + i * record_room;
            job->msg_len_to_cipher_in_bytes = job->msg_len_to_hash_in_bytes = payload.size();
            job->u.GCM.aad = associated;
            job->u.GCM.aad_len_in_bytes = sizeof associated;
            job->auth_tag_output = job->dst + payload.size();
            job->auth_tag_output_len_in_bytes = tag_bytes;
            benchmark::DoNotOptimize(IMB_SUBMIT_JOB_NOCHECK(manager));
        }
        while (IMB_FLUSH_JOB(manager) != nullptr) continue;
    }
    cycles.stop(static_cast<double>(state.iterations() * static_cast<int64_t>(count)));
    free_mb_mgr(manager);
}

void sizes_slots_suites(benchmark::internal::Benchmark* benchmark) {
    benchmark->ArgNames({"payload", "slots", "suite"});
    for (const int64_t suite : {1, 2, 3})
        for (const int64_t slots : {1, 1 << 20})
            for (const int64_t payload : {64, 128, 256, 1400, 16384}) benchmark->Args({payload, slots, suite});
}
BENCHMARK(record_seal)->Apply(sizes_slots_suites);
BENCHMARK(record_open)->Apply(sizes_slots_suites);
BENCHMARK(ipsec_mb_direct)->ArgNames({"payload", "suite"})->ArgsProduct({{64, 128, 256, 1400, 16384}, {1, 2, 3}});
BENCHMARK(record_beside_ipsec_mb)->ArgNames({"payload", "suite"})->ArgsProduct({{16384}, {1, 2, 3}});
BENCHMARK(ipsec_mb_jobs)->ArgName("payload")->Arg(64)->Arg(128)->Arg(256)->Arg(1400)->Arg(16384);

}  // namespace
}  // namespace millrace::tls
