// How certificates and private keys come from control to the dataplane: over the Unix socket `keys.sock`, which a
// dataplane with crypto threads listens at in its part of the run directory. No path, no disk and no shared file has
// them on the way.
//
//   control ── one byte, and with it (SCM_RIGHTS) an anonymous file that nobody can change any more ──► dataplane
//           ◄── "ok", or why not ────────────────────────────────────────────────────────────────────
//
// One connection for each delivery (SOCK_SEQPACKET). Each side looks at who the other one is (SO_PEERCRED): the
// dataplane takes keys from root and from the owner of control's part of the run directory, control gives them to root
// and to the owner of the dataplane's. The file holds the text of src/tls/handshake/key_bundle.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace millrace {

inline constexpr std::string_view key_socket_name = "keys.sock";
inline constexpr uint32_t key_bundle_bytes_max = 64u << 20;
inline constexpr uint32_t key_answer_bytes_max = 1024;

/// An anonymous file with this text, sealed; -1, with the reason, when that fails.
int make_sealed_file(std::string_view text, std::string& error);
/// False, with the reason, when the file is not sealed, too long, or can't be read.
bool read_sealed_file(int file, std::string& text, std::string& error);

/// A connection to the key socket of a dataplane whose part of the run directory this is, or -1 with errno.
int connect_to_key_socket(const std::string& directory);
/// A socket that listens there, for its owner and group; -1, with the reason, when that fails.
int listen_at_key_socket(const std::string& directory, std::string& error);

bool send_file(int socket, int file);
/// The file that comes next; -1 when there is none.
int receive_file(int socket);

/// Whether the other end is root or the owner of `directory`.
bool peer_owns(int socket, const std::string& directory);

}  // namespace millrace
