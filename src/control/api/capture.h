// Captures as the API has them: one at a time, a stream of pcap to the one who asked. On that one's API thread.
#pragma once

#include <httplib.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "control/capture_session.h"
#include "control/controller.h"

namespace millrace::control::api {

using Json = nlohmann::ordered_json;

/// The way from the session to a reader. The capture ends with it, at the latest.
class CaptureStream {
  public:
    CaptureStream(Controller& controller, std::shared_ptr<CaptureSession> session);
    ~CaptureStream();
    CaptureStream(const CaptureStream&) = delete;
    CaptureStream& operator=(const CaptureStream&) = delete;

    /// Writes what has come, waiting a little for it. False when the reader is gone.
    bool next(httplib::DataSink& sink);

    /// Starts the capture on every worker. False, with the reason, when one does not.
    bool start(std::string& error);

  private:
    void stop();

    Controller& controller_;
    std::shared_ptr<CaptureSession> session_;
    bool header_written_ = false;
    bool stopped_ = false;
};

/// Begins a capture. Null, with the HTTP status and the reason, when one runs already (409) or none can (503).
std::shared_ptr<CaptureStream> start_capture(Controller& controller, const CaptureOptions& options, int& status,
                                             std::string& error);

/// The capture that runs, or the last one; {"running": false} before the first. On control's main thread.
Json capture_status(Controller& controller);

}  // namespace millrace::control::api
