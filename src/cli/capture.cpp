#include "cli/capture.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <unistd.h>

#include "cli/render.h"

namespace millrace::cli {
namespace {

/// Written as it comes, so that what is there is readable whenever this process ends.
class File {
  public:
    explicit File(const std::string& path)
        : path_(path),
          descriptor_(path == "-" ? dup(STDOUT_FILENO)
                                  : open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) {
        if (descriptor_ < 0) throw Failure(path_ + ": " + std::strerror(errno));
    }
    ~File() { close(descriptor_); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    void write(std::string_view bytes) const {
        while (!bytes.empty()) {
            const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
            if (written < 0 && errno == EINTR) continue;
            if (written <= 0) throw Failure(path_ + ": " + std::strerror(errno));
            bytes.remove_prefix(static_cast<size_t>(written));
        }
    }

  private:
    std::string path_;
    int descriptor_;
};

std::string encoded(const std::string& text) {
    std::string out;
    for (const char c : text) {
        char hex[4];
        std::snprintf(hex, sizeof hex, "%%%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
        out += hex;
    }
    return out;
}

}  // namespace

void capture(const Client& client, const CaptureOptions& options, bool as_json) {
    std::string path = "/v1/capture/frames?seconds=" + std::to_string(options.seconds);
    if (options.count != 0) path += "&count=" + std::to_string(options.count);
    if (options.snaplen != 0) path += "&snaplen=" + std::to_string(options.snaplen);
    if (!options.filter.empty()) path += "&filter=" + encoded(options.filter);
    // Opened when there is something to write: a refused capture takes nobody's file away.
    std::unique_ptr<File> file;
    client.receive(path, [&](std::string_view bytes) {
        if (!file) file = std::make_unique<File>(options.file);
        file->write(bytes);
    });
    const Json status = client.get("/v1/capture");
    FILE* const out = options.file == "-" ? stderr : stdout;
    std::fputs(as_json ? (status.dump(2) + '\n').c_str() : render_capture(status).c_str(), out);
}

}  // namespace millrace::cli
