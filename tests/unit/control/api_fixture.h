// What the tests of the admin API share: a dataplane that answers everything, and clients of every socket.
#pragma once

#include <cstring>
#include <gtest/gtest.h>
#include <set>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <millrace/capture.h>

#include "running_control.h"

namespace millrace::control::test {

/// Answers like a dataplane whose every server takes connections, and that holds `relays` relays per worker.
struct GoodDataplane {
    uint32_t relays = 0;
    uint32_t captured_frames = 0;
    std::shared_ptr<std::atomic<unsigned>> captures_stopped = std::make_shared<std::atomic<unsigned>>(0u);
    std::shared_ptr<std::atomic<unsigned>> streams = std::make_shared<std::atomic<unsigned>>(0u);
    std::shared_ptr<std::atomic<uint32_t>> dead_address_end = std::make_shared<std::atomic<uint32_t>>(0u);

    void operator()(FakeDataplane& fake, uint32_t worker, const MessageHeader& message,
                    std::span<const std::byte> payload) const {
        switch (static_cast<MessageType>(message.type)) {
            case MessageType::stream_open: {
                StreamOpen open;
                std::memcpy(&open, payload.data(), sizeof open);
                ++*streams;
                if (open.server.bytes[15] == dead_address_end->load())
                    fake.reply_struct(worker, MessageType::stream_closed, 0,
                                      StreamClosed{open.id, StreamEnd::refused, {}});
                else
                    fake.reply_struct(worker, MessageType::stream_opened, 0, StreamId{open.id});
                return;
            }
            case MessageType::list_connections:
                return list(fake, worker, message.request_id, payload);
            case MessageType::ping: {
                Ping request;
                std::memcpy(&request, payload.data(), sizeof request);
                Pinged pinged{};
                pinged.interface = 0;
                pinged.source = IpAddress::v4(198, 18, 0, 1);
                pinged.next_hop = request.address;
                pinged.end = request.address.bytes[15] == 10 ? PingEnd::answered : PingEnd::no_neighbour;
                pinged.rtt_us = request.payload_bytes;
                fake.reply_struct(worker, MessageType::pinged, message.request_id, pinged);
                return;
            }
            case MessageType::capture_start: {
                CaptureStart request;
                std::memcpy(&request, payload.data(), sizeof request);
                fake.reply_struct(worker, MessageType::capture_started, message.request_id, CaptureStarted{1, {}});
                if (worker == 0) return;
                // When both have begun; the second worker's are the earlier ones, by their times too.
                for (uint32_t i = 0; i < 2 * captured_frames; ++i) {
                    struct {
                        CapturedFrame frame{};
                        std::byte bytes[8]{};
                    } captured;
                    const uint16_t from = i < captured_frames ? 1 : 0;
                    captured.frame.time_us = monotonic_us() + i - 1'000'000u * from;
                    captured.frame.length = 60;
                    captured.bytes[0] = static_cast<std::byte>(from + 1);
                    fake.reply_struct(from, MessageType::captured, request.id, captured);
                }
                return;
            }
            case MessageType::capture_stop:
                ++*captures_stopped;
                fake.reply_struct(worker, MessageType::capture_stopped, message.request_id, CaptureStopped{0, 5});
                return;
            case MessageType::show_tcp: {
                ShowTcp request;
                std::memcpy(&request, payload.data(), sizeof request);
                TcpShown shown{};
                // The second worker's, on the third page.
                const bool here = worker == 1 && request.connection_id == 0xabc;
                shown.found = here && request.cursor == 2048;
                shown.next_cursor = here && !shown.found ? request.cursor + 1024 : 0;
                if (shown.found) {
                    shown.sides = TcpSides::client;
                    shown.connection.connection_id = request.connection_id;
                    shown.client.state = TcpState::established;
                    shown.client.timer = static_cast<TcpTimer>(200);
                    shown.client.flags = tcp_info_sack;
                    shown.client.ssthresh = TcpInfo::unlimited;
                    shown.client.cwnd = 14'600;
                }
                fake.reply_struct(worker, MessageType::tcp_shown, message.request_id, shown);
                return;
            }
            case MessageType::list_neighbours: {
                struct {
                    NeighboursPage page{1, 0};
                    NeighbourRecord record{};
                } answer;
                answer.record.address = IpAddress::v4(198, 18, 0, 10);
                answer.record.mac = {{2, 0, 0, 0, 0, 1}};
                answer.record.state = NeighbourState::reachable;
                answer.record.age_ms = worker == 0 ? 500 : 100;
                fake.reply_struct(worker, MessageType::neighbours, message.request_id, answer);
                return;
            }
            default:
                return;
        }
    }

    void list(FakeDataplane& fake, uint32_t worker, uint64_t id, std::span<const std::byte> payload) const {
        ListConnections request;
        std::memcpy(&request, payload.data(), sizeof request);
        const auto first = static_cast<uint32_t>(request.cursor);
        const uint32_t count = std::min<uint32_t>(request.limit, relays - first);
        const uint64_t next = first + count < relays ? first + count : 0;
        std::vector<std::byte> answer(sizeof(ConnectionsPage) + count * sizeof(ConnectionRecord));
        const ConnectionsPage page{next, count, 0};
        std::memcpy(answer.data(), &page, sizeof page);
        for (uint32_t i = 0; i < count; ++i) {
            ConnectionRecord record{};
            record.connection_id = uint64_t{worker} << 32 | (first + i);
            record.client = IpAddress::v4(198, 18, 0, 99);
            record.client_port = 4711;
            record.listener_slot = 0;
            record.server_slot = request.server_slot == no_slot ? no_slot : request.server_slot;
            record.state = RelayState::relaying;
            std::memcpy(answer.data() + sizeof page + i * sizeof record, &record, sizeof record);
        }
        fake.reply(worker, MessageType::connections, id, answer);
    }
};

class ApiTest : public testing::Test {
  protected:
    ApiTest() { run_.write_config(SampleConfig().text()); }

    std::string socket(const char* name = "admin.sock") { return run_.control_directory() + '/' + name; }
    ApiClient client(const char* name = "admin.sock") { return ApiClient(socket(name)); }
    json servers() { return client().get("/v1/servers").body["servers"]; }
    bool dataplane_is_seen() {
        return eventually([&] { return client().get("/v1/status").body["dataplane"]["running"] == true; });
    }

    TempRun run_;
};

inline int connect_to(const std::string& path) {
    const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (connect(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return descriptor;
    close(descriptor);
    return -1;
}

}  // namespace millrace::control::test
