// The fixed sizes of the shared ABI: how many slots the shared tables have. Raising one is a change of ABI version.
// Limits that an operator may choose live in the configuration, below these.
#pragma once

#include <cstdint>

namespace millrace {

/// Version of every shared file's layout; a file of another version is refused at join.
inline constexpr uint32_t abi_version = 3;

inline constexpr uint32_t worker_max = 64;
inline constexpr uint32_t shard_max = 128;
inline constexpr uint32_t interface_max = 32;
inline constexpr uint32_t local_address_max = 4096;
inline constexpr uint32_t route_max = 256;
inline constexpr uint32_t listener_slot_max = 256;
inline constexpr uint32_t backend_slot_max = 256;
inline constexpr uint32_t server_slot_max = 4096;
inline constexpr uint32_t http_route_max = 4096;
inline constexpr uint32_t source_max = 4096;

/// A reference to nothing, wherever a 16-bit slot or index is optional.
inline constexpr uint16_t no_slot = 0xffff;

}  // namespace millrace
