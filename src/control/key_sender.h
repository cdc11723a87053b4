// Gives the dataplane the certificates and keys of the configuration (millrace/key_socket.h): when they have changed,
// and whenever a dataplane is there that has not got them. Control's main thread only.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

#include "tls/handshake/key_bundle.h"

namespace millrace::control {

class KeySender {
  public:
    /// `directory`: the dataplane's part of the run directory.
    explicit KeySender(std::string directory) : directory_(std::move(directory)) {}
    ~KeySender();

    /// What a dataplane has to have from now on. It is given at once to one that is there; without one follow() does.
    /// False, with the reason, when the dataplane refuses it: then it goes on with what it had, and so do we.
    bool set(const tls::KeyBundle& bundle, std::string& error);
    /// Gives it to a dataplane that has come, again every second while that refuses it. Call it about ten times a
    /// second.
    void follow(uint64_t now_us);

  private:
    enum class Outcome : uint8_t { given, nobody_there, refused };
    Outcome give(const std::string& text, std::string& error);
    bool socket_is_new();
    void keep(std::string text);

    std::string directory_;
    std::string text_;    // JSON; empty: nothing to give
    bool given_ = false;  // to the dataplane whose socket we saw last
    uint64_t retry_at_us_ = 0;
    ino_t socket_inode_ = 0;
    int64_t socket_time_ = 0;
    std::string said_;  // the latest error that follow() has logged
};

}  // namespace millrace::control
