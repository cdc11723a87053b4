#include "control/statistics.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

namespace millrace::control {

namespace {

constexpr uint32_t descriptors_max = 4096;
constexpr uint32_t slots_max = 65'536;
constexpr uint64_t offset_max = uint64_t{1} << 40;  // keeps every product and sum below far from overflow

std::string text_of(const char* field, size_t size) {
    return {field, strnlen(field, size)};
}

uint32_t words_of(StatKind kind) {
    return kind == StatKind::histogram ? histogram_bucket_count : 1;
}

const char* name_of(StatScope scope) {
    constexpr const char* names[] = {"worker", "listener", "backend", "server"};
    return names[static_cast<uint32_t>(scope)];
}

const char* name_of(StatKind kind) {
    constexpr const char* names[] = {"counter", "gauge", "histogram"};
    return names[static_cast<uint32_t>(kind)];
}

bool fail(std::string& error, const char* why) {
    error = std::string("stats: ") + why;
    return false;
}

}  // namespace

uint64_t histogram_percentile(const uint64_t (&buckets)[histogram_bucket_count], double share) {
    uint64_t total = 0;
    for (const uint64_t count : buckets) total += count;
    if (total == 0) return 0;
    const double rank = share * static_cast<double>(total);
    double below = 0;
    for (uint32_t i = 0; i < histogram_bucket_count; ++i) {
        const double count = static_cast<double>(buckets[i]);
        if (count == 0 || below + count < rank) {
            below += count;
            continue;
        }
        if (i == 0) return 0;
        const double low = std::ldexp(1.0, static_cast<int>(i) - 1);
        return static_cast<uint64_t>(low + (low - 1) * std::clamp((rank - below) / count, 0.0, 1.0));
    }
    return uint64_t{1} << (histogram_bucket_count - 1);
}

bool Statistics::open(const SharedFile& file, std::string& error) {
    close();
    const auto& header = *reinterpret_cast<const StatsHeader*>(file.data());
    const uint64_t size = file.size();
    const uint32_t descriptor_count = header.descriptor_count;
    worker_count_ = header.worker_count;
    worker_offset_ = header.worker_offset;
    worker_stride_ = header.worker_stride;
    std::memcpy(scopes_, header.scopes, sizeof scopes_);
    if (worker_count_ == 0 || worker_count_ > worker_max) return fail(error, "impossible number of workers");
    if (descriptor_count > descriptors_max ||
        sizeof(StatsHeader) + uint64_t{descriptor_count} * sizeof(StatDescriptor) > size)
        return fail(error, "descriptors outside the file");
    if (worker_offset_ % 8 != 0 || worker_stride_ % 8 != 0 || worker_offset_ > offset_max ||
        worker_stride_ > offset_max || worker_offset_ + worker_count_ * worker_stride_ > size)
        return fail(error, "workers outside the file");
    for (const StatScopeLayout& scope : scopes_)
        if (scope.offset % 8 != 0 || scope.stride % 8 != 0 || scope.offset > offset_max || scope.slots > slots_max ||
            scope.offset + uint64_t{scope.stride} * scope.slots > worker_stride_)
            return fail(error, "scope outside the worker's block");
    const auto* descriptors = stat_descriptors(file.data());
    for (uint32_t i = 0; i < descriptor_count; ++i) {
        StatDescriptor descriptor;
        std::memcpy(&descriptor, &descriptors[i], sizeof descriptor);
        if (!check_value(descriptor, error)) return false;
    }
    data_ = file.data();
    return true;
}

bool Statistics::check_value(const StatDescriptor& descriptor, std::string& error) {
    if (descriptor.scope >= StatScope::count || descriptor.kind > StatKind::histogram) return true;  // of a newer one
    const StatScopeLayout& scope = scopes_[static_cast<uint32_t>(descriptor.scope)];
    if (descriptor.offset % 8 != 0 || uint64_t{descriptor.offset} + 8 * words_of(descriptor.kind) > scope.stride)
        return fail(error, "value outside its scope");
    values_.push_back({text_of(descriptor.name, sizeof descriptor.name),
                       text_of(descriptor.unit, sizeof descriptor.unit), descriptor.scope, descriptor.kind,
                       descriptor.offset});
    return true;
}

std::string Statistics::config_error() const {
    return text_of(header().config_error, sizeof header().config_error);
}

uint64_t Statistics::load(uint32_t worker, const Value& value, uint32_t slot, uint32_t word) const {
    const StatScopeLayout& scope = scopes_[static_cast<uint32_t>(value.scope)];
    const std::byte* at = data_ + worker_offset_ + worker * worker_stride_ + scope.offset +
                          uint64_t{slot} * scope.stride + value.offset + 8 * word;
    return reinterpret_cast<const std::atomic<uint64_t>*>(at)->load(std::memory_order_relaxed);
}

const Statistics::Value* Statistics::find(StatScope scope, std::string_view name) const {
    const auto value = std::find_if(values_.begin(), values_.end(), [&](const Value& candidate) {
        return candidate.scope == scope && candidate.kind != StatKind::histogram && candidate.name == name;
    });
    return value == values_.end() ? nullptr : &*value;
}

std::optional<uint64_t> Statistics::sum(StatScope scope, uint32_t slot, std::string_view name) const {
    const Value* value = find(scope, name);
    if (value == nullptr || slot >= scopes_[static_cast<uint32_t>(scope)].slots) return std::nullopt;
    uint64_t total = 0;
    for (uint32_t worker = 0; worker < worker_count_; ++worker) total += load(worker, *value, slot, 0);
    return total;
}

std::optional<uint64_t> Statistics::of_worker(uint32_t worker, std::string_view name) const {
    const Value* value = find(StatScope::worker, name);
    if (value == nullptr || worker >= worker_count_ || scopes_[0].slots == 0) return std::nullopt;
    return load(worker, *value, 0, 0);
}

nlohmann::json Statistics::value_json(uint32_t first_worker, uint32_t end_worker, const Value& value,
                                      uint32_t slot) const {
    uint64_t buckets[histogram_bucket_count] = {};
    for (uint32_t worker = first_worker; worker < end_worker; ++worker)
        for (uint32_t word = 0; word < words_of(value.kind); ++word) buckets[word] += load(worker, value, slot, word);
    if (value.kind != StatKind::histogram) return buckets[0];
    uint64_t count = 0;
    for (const uint64_t bucket : buckets) count += bucket;
    return {{"count", count},
            {"p50", histogram_percentile(buckets, 0.50)},
            {"p90", histogram_percentile(buckets, 0.90)},
            {"p99", histogram_percentile(buckets, 0.99)}};
}

nlohmann::json Statistics::values(StatScope scope, uint32_t slot) const {
    nlohmann::json result = nlohmann::json::object();
    if (!is_open() || slot >= scopes_[static_cast<uint32_t>(scope)].slots) return result;
    for (const Value& value : values_)
        if (value.scope == scope) result[value.name] = value_json(0, worker_count_, value, slot);
    return result;
}

nlohmann::json Statistics::worker_values(uint32_t worker) const {
    nlohmann::json result = nlohmann::json::object();
    if (!is_open() || worker >= worker_count_ || scopes_[0].slots == 0) return result;
    for (const Value& value : values_)
        if (value.scope == StatScope::worker) result[value.name] = value_json(worker, worker + 1, value, 0);
    return result;
}

nlohmann::json Statistics::descriptors() const {
    nlohmann::json result = nlohmann::json::array();
    for (const Value& value : values_)
        result.push_back({{"scope", name_of(value.scope)},
                          {"name", value.name},
                          {"unit", value.unit},
                          {"kind", name_of(value.kind)}});
    return result;
}

}  // namespace millrace::control
