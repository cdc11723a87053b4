#include "control/api/capture.h"

#include <cstring>
#include <spdlog/spdlog.h>

namespace millrace::control::api {

namespace {

constexpr int wait_ms = 50;

template <typename Answer>
bool read(const Reply& reply, Answer& answer) {
    if (!reply || reply->size() < sizeof answer) return false;
    std::memcpy(&answer, reply->data(), sizeof answer);
    return true;
}

}  // namespace

CaptureStream::CaptureStream(Controller& controller, std::shared_ptr<CaptureSession> session)
    : controller_(controller), session_(std::move(session)) {}

CaptureStream::~CaptureStream() {
    stop();
    const Json status = session_->status();
    spdlog::info("api: the capture by uid {} ended ({}): {} frames, {} dropped", status["uid"].get<std::string>(),
                 status["end"].is_string() ? status["end"].get<std::string>() : "", status["frames"].get<uint64_t>(),
                 status["dropped"].get<uint64_t>());
}

bool CaptureStream::start(std::string& error) {
    const CaptureStart request = session_->request();
    for (uint32_t worker = 0; worker < session_->workers(); ++worker) {
        CaptureStarted answer;
        if (read(controller_.ask(worker, MessageType::capture_start, std::as_bytes(std::span(&request, 1))), answer) &&
            answer.started != 0)
            continue;
        error = "the dataplane does not answer; see: millracectl status";
        session_->end(error);
        return false;
    }
    return true;
}

/// A worker's answer comes behind its last frame, so that nothing is left in the rings.
void CaptureStream::stop() {
    if (stopped_) return;
    stopped_ = true;
    const CaptureStop request{session_->id()};
    for (uint32_t worker = 0; worker < session_->workers(); ++worker) {
        CaptureStopped answer;
        if (read(controller_.ask(worker, MessageType::capture_stop, std::as_bytes(std::span(&request, 1))), answer))
            session_->add_dropped(answer.dropped);
    }
    session_->finish();
}

bool CaptureStream::next(httplib::DataSink& sink) {
    std::string text = header_written_ ? "" : session_->file_header();
    header_written_ = true;
    text += session_->drain(wait_ms);
    if (session_->over()) {
        stop();
        text += session_->drain(0);
    }
    if (!(text.empty() ? sink.is_writable() : sink.write(text.data(), text.size()))) return false;
    if (stopped_) sink.done();
    return true;
}

std::shared_ptr<CaptureStream> start_capture(Controller& controller, const CaptureOptions& options, int& status,
                                             std::string& error) {
    const auto session = controller.call([&](Controller& self) -> std::shared_ptr<CaptureSession> {
        status = 503;
        error = "the dataplane is not running";
        if (!self.link().alive()) return nullptr;
        if (self.capture() && self.capture()->running()) {
            status = 409;
            error = "a capture runs already, started by uid " + self.capture()->status()["uid"].get<std::string>() +
                    "; there can be one at a time";
            return nullptr;
        }
        self.set_capture(std::make_shared<CaptureSession>(self.next_id(), options, self.link().worker_count()));
        return self.capture();
    });
    if (!session || !*session) return nullptr;
    spdlog::info("api: a capture by uid {} begins: {} s, filter \"{}\"", options.uid, options.seconds,
                 options.filter_text);
    auto stream = std::make_shared<CaptureStream>(controller, *session);
    return stream->start(error) ? stream : nullptr;
}

Json capture_status(Controller& controller) {
    return controller.capture() ? controller.capture()->status() : Json{{"running", false}};
}

}  // namespace millrace::control::api
