// Ready-made configurations for the tests of everything that is given one: the sample snapshot of the ABI's tests,
// changed as a test needs it.
#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <string>

#include "abi/snapshot_samples.h"
#include "dataplane/config/runtime_config.h"

namespace millrace::config::test {

/// Compiles what must compile.
inline std::unique_ptr<const RuntimeConfig> compiled(const SnapshotBuilder& builder,
                                                     const RuntimeConfig* previous = nullptr) {
    std::string error;
    auto config = RuntimeConfig::compile(builder.build(1), previous, error);
    if (config == nullptr) ADD_FAILURE() << error;
    return config;
}

/// The reason why a configuration is refused; empty, and a failure, when it is not.
inline std::string refusal(const SnapshotBuilder& builder, const RuntimeConfig* previous) {
    std::string error;
    EXPECT_EQ(RuntimeConfig::compile(builder.build(1), previous, error), nullptr);
    return error;
}

inline IpAddress ip(const char* text) {
    return *parse_ip_address(text);
}

}  // namespace millrace::config::test
