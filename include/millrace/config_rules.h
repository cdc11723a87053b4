// The ranges and spellings that a configuration may hold, once for both sides: control reports what breaks them to the
// operator with a line number, the dataplane (SnapshotView::open) refuses a snapshot that breaks them, because its
// writer is another process and counts as hostile. Fixed table sizes stand in limits.h, not here.
//
// The texts matter for safety: a device name ends up in an EAL argument, a header name in a request, a name in JSON.
#pragma once

#include <cstdint>
#include <string_view>

#include <millrace/limits.h>

namespace millrace {

inline constexpr uint32_t name_bytes_max = 63;
inline constexpr uint32_t host_bytes_max = 253;
inline constexpr uint32_t path_bytes_max = 1024;
inline constexpr uint32_t header_name_bytes_max = 64;

inline constexpr uint32_t core_max = 1023;  ///< highest number of a CPU core
inline constexpr uint32_t relays_max_max = 64u << 20;
/// What one shard can work with, and what its chunks can be numbered in.
inline constexpr uint64_t shard_chunk_bytes_min = 4u << 20, shard_chunk_bytes_max = uint64_t{1} << 39;
inline constexpr uint64_t chunk_bytes_min = shard_chunk_bytes_min;
inline constexpr uint64_t chunk_bytes_max_max = uint64_t{1} << 40;
inline constexpr uint32_t handshakes_max_max = 16u << 20;  ///< of half_open_max and time_wait_max
inline constexpr uint32_t neighbours_max_low = 64, neighbours_max_high = 256u << 10;  ///< of neighbours_max
inline constexpr uint32_t idle_sleep_us_max = 1000;
inline constexpr uint32_t send_queue_bytes_min = 16u << 10;
inline constexpr uint32_t send_queue_bytes_max = 16u << 20;
inline constexpr uint32_t crypto_threads_max = 64;
inline constexpr uint32_t tls_handshakes_max_max = 65'535;
inline constexpr uint32_t tickets_max = 16;
inline constexpr uint32_t certificates_max = 1024;                                  ///< of one listener
inline constexpr uint32_t drain_rate_min_low = 64, drain_rate_min_high = 1u << 20;  ///< of drain_rate_min

inline constexpr uint16_t ack_delay_ms_max = 500;                            ///< RFC 9293 §3.8.6.3, MUST-40
inline constexpr uint16_t path_mtu_min_low = 296, path_mtu_min_high = 1280;  ///< of path_mtu_min

inline constexpr uint16_t mtu_min = 576, mtu_min_ipv6 = 1280, mtu_max = 9000;
inline constexpr uint16_t vlan_max = 4094;
inline constexpr uint16_t descriptors_min = 64, descriptors_max = 8192;  ///< and a power of two

inline constexpr uint32_t head_bytes_min = 1024, head_bytes_max_max = 16384;
inline constexpr uint32_t headers_max_max = 100;
inline constexpr uint32_t timeout_ms_max = 7u * 24 * 3600 * 1000;
/// The workers look at idle relays about every ten seconds; an hour between probes is what their clocks can tell.
inline constexpr uint16_t keepalive_s_min = 10, keepalive_s_max = 3600;
inline constexpr uint16_t keepalive_idle_s_max = 12 * 3600;
inline constexpr uint8_t keepalive_count_max = 30;
inline constexpr uint32_t retry_after_s_max = 24 * 3600;

inline constexpr uint16_t source_port_min = 1024;  ///< the dataplane deals out none of those below

inline constexpr uint16_t server_weight_max = 1000;
inline constexpr uint32_t maglev_size_min = 251, maglev_size_max = 655373;
inline constexpr uint32_t eject_after_max = 1000;
inline constexpr uint8_t retries_max = 10;

enum class Driver : uint8_t { af_xdp = 0, af_packet = 1, memif = 2, pci = 3 };

/// A name of an interface, listener, backend or server: 1…name_bytes_max of a-z A-Z 0-9 '.' '_' '-', beginning with a
/// letter or digit.
bool valid_name(std::string_view text);

/// The device of a driver: a kernel interface name (1…15 of a-z A-Z 0-9 '.' '_' '-'), the absolute path of a memif
/// socket (…107 of those and '/'), or a PCI address as 0000:3b:00.1.
bool valid_device(Driver driver, std::string_view text);

/// The host of a route: a lower-case DNS name or IP literal without port, or "*." and a name.
bool valid_host_pattern(std::string_view text);

/// A path prefix: begins with '/', then visible ASCII but '?' and '#'.
bool valid_path_prefix(std::string_view text);

/// A header name: 1…header_name_bytes_max token characters (RFC 9110 §5.6.2).
bool valid_header_name(std::string_view text);

bool is_prime(uint32_t value);

}  // namespace millrace
