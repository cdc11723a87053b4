// Reads the dataplane's self-describing `stats` file (<millrace/stats.h>): checks its table once at join, then adds
// values up over the workers by name. Whatever descriptors the dataplane publishes are shown; a name that is missing
// reads as absent, not as an error. Control's main thread only.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <millrace/shared_file.h>
#include <millrace/stats.h>

namespace millrace::control {

class Statistics {
  public:
    /// Checks the joined `file`, which must outlive this, and copies its descriptors. False, with the reason, when a
    /// value of some descriptor would lie outside the file.
    bool open(const SharedFile& file, std::string& error);

    /// Forgets the file.
    void close() { *this = Statistics(); }
    bool is_open() const { return data_ != nullptr; }

    const StatsHeader& header() const { return *reinterpret_cast<const StatsHeader*>(data_); }
    uint32_t worker_count() const { return worker_count_; }
    /// Why the newest published configuration was refused; empty when it was not.
    std::string config_error() const;

    /// The sum over the workers of a counter or gauge. Empty when there is no such value, or no such slot.
    std::optional<uint64_t> sum(StatScope scope, uint32_t slot, std::string_view name) const;

    /// The same of one worker's own values (StatScope::worker).
    std::optional<uint64_t> of_worker(uint32_t worker, std::string_view name) const;

    /// Every value of a slot, summed over the workers: {"name": number | {"count", "p50", "p90", "p99"}}.
    nlohmann::json values(StatScope scope, uint32_t slot) const;
    /// The same for one worker's own values (StatScope::worker).
    nlohmann::json worker_values(uint32_t worker) const;

    /// [{"scope", "name", "unit", "kind"}] in the file's order.
    nlohmann::json descriptors() const;

  private:
    struct Value {
        std::string name;
        std::string unit;
        StatScope scope;
        StatKind kind;
        uint32_t offset;
    };

    const Value* find(StatScope scope, std::string_view name) const;
    bool check_value(const StatDescriptor& descriptor, std::string& error);
    uint64_t load(uint32_t worker, const Value& value, uint32_t slot, uint32_t word) const;
    nlohmann::json value_json(uint32_t first_worker, uint32_t end_worker, const Value& value, uint32_t slot) const;

    const std::byte* data_ = nullptr;
    uint32_t worker_count_ = 0;
    uint64_t worker_offset_ = 0;
    uint64_t worker_stride_ = 0;
    StatScopeLayout scopes_[static_cast<uint32_t>(StatScope::count)] = {};
    std::vector<Value> values_;
};

/// The value below which `share` (0…1) of a histogram's values lie, interpolated within its bucket; 0 when it is empty.
uint64_t histogram_percentile(const uint64_t (&buckets)[histogram_bucket_count], double share);

}  // namespace millrace::control
