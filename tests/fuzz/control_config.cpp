// Fuzzes the configuration: any text loads or is refused with diagnostics that have a place, one line each; a
// configuration without errors makes a snapshot that opens.
#include <string>

#include "control/config/load.h"
#include "control/config/publish.h"

namespace {

using namespace millrace::control;

/// Names that begin with 'a' have an IPv4 address, those with 'b' two, all others none.
class FuzzResolver final : public Resolver {
  public:
    std::vector<millrace::IpAddress> resolve(const std::string& host, std::string& error) override {
        if (host.starts_with("a")) return {millrace::IpAddress::v4(198, 18, 0, 77)};
        if (host.starts_with("b")) return {millrace::IpAddress::v4(198, 18, 0, 78), millrace::IpAddress{}};
        error = "unknown";
        return {};
    }
};

void require(bool holds) {
    if (!holds) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    FuzzResolver resolver;
    const std::string text(reinterpret_cast<const char*>(data), size);
    const LoadResult result = load_config_text(text, "f", resolver, {.core_count = 4, .check_only = false});
    require(result.diagnostics.size() <= Diagnostics::diagnostics_max + 1);
    for (const Diagnostic& diagnostic : result.diagnostics) {
        require(diagnostic.position.line >= 1 && diagnostic.position.column >= 1);
        require(diagnostic.position.line <= 1 + size && diagnostic.position.column <= 1 + size);
        require(!diagnostic.message.empty() && diagnostic.message.size() < 4096);
        for (char c : diagnostic.message) require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
    }
    if (!result.ok()) return 0;
    const PublishResult published = to_snapshot(result.config, nullptr, [](SlotKind, uint16_t) { return true; });
    require(published.snapshot.has_value());
    const std::vector<std::byte> bytes = published.snapshot->build(1);
    millrace::SnapshotView view;
    std::string error;
    require(view.open(bytes, error));
    const PublishResult again = to_snapshot(result.config, &view, [](SlotKind, uint16_t) { return false; });
    require(again.snapshot.has_value() && again.snapshot->build(1) == bytes);
    return 0;
}
