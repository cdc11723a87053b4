#include "impair_path.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/sim/random.h"

namespace impair {
namespace {

using millrace::sim::Random;

constexpr size_t ethernet_header = 14;
constexpr size_t ethernet_frame_max = 1518;
constexpr uint64_t stop_check_ns = 100'000'000;
constexpr int socket_buffer_bytes = 32 << 20;

uint64_t now_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

/// A packet socket of one interface; `protocol` 0 receives nothing.
int open_interface(const std::string& name, uint16_t protocol) {
    const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, htons(protocol));
    if (fd < 0) throw std::runtime_error(std::string("packet socket: ") + std::strerror(errno));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(protocol);
    address.sll_ifindex = static_cast<int>(if_nametoindex(name.c_str()));
    const int on = 1;
    const bool set =
        address.sll_ifindex != 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
        setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on) == 0 &&
        setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) == 0 &&
        setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &socket_buffer_bytes, sizeof socket_buffer_bytes) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &socket_buffer_bytes, sizeof socket_buffer_bytes) == 0;
    if (set) return fd;
    const std::string reason = std::strerror(errno);
    close(fd);
    throw std::runtime_error(name + ": " + reason);
}

/// The VLAN id of a frame, whose tag the kernel takes out and tells beside it; 0 without a tag.
uint16_t vlan_of(msghdr& message) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_PACKET || part->cmsg_type != PACKET_AUXDATA) continue;
        tpacket_auxdata data;
        std::memcpy(&data, CMSG_DATA(part), sizeof data);
        return (data.tp_status & TP_STATUS_VLAN_VALID) != 0 ? data.tp_vlan_tci & 0x0fff : 0;
    }
    return 0;
}

bool is_tcp(const uint8_t* frame, size_t length) {
    if (length < ethernet_header + 20) return false;
    const int type = frame[12] << 8 | frame[13];
    return (type == ETHERTYPE_IP && frame[23] == IPPROTO_TCP) || (type == ETHERTYPE_IPV6 && frame[20] == IPPROTO_TCP);
}

}  // namespace

Path::Path(const Settings& settings, const std::string& from, const std::string& to, unsigned number)
    : settings_(settings), stream_(Random(settings.seed * 2 + number).next()), buffers_(burst_frames) {
    in_ = open_interface(from, ETH_P_ALL);
    try {
        out_ = open_interface(to, 0);
    } catch (...) {
        close(in_);
        throw;
    }
}

Path::~Path() {
    close(in_);
    close(out_);
}

void Path::run(const std::atomic<bool>& stop) {
    while (!stop.load(std::memory_order_relaxed)) {
        wait(now_ns());
        take_frames(now_ns());
        send_due(now_ns());
    }
    count_missed();
}

void Path::wait(uint64_t now_ns) const {
    uint64_t wait_ns = stop_check_ns;
    if (!departures_.empty()) {
        const uint64_t at = departures_.top().at_ns;
        wait_ns = std::min(wait_ns, at > now_ns ? at - now_ns : 0);
    }
    const timespec timeout{.tv_sec = 0, .tv_nsec = static_cast<long>(wait_ns)};
    pollfd in{in_, POLLIN, 0};
    ppoll(&in, 1, &timeout, nullptr);
}

void Path::take_frames(uint64_t now_ns) {
    std::array<iovec, burst_frames> vectors;
    std::array<mmsghdr, burst_frames> messages{};
    std::array<std::array<char, CMSG_SPACE(sizeof(tpacket_auxdata))>, burst_frames> beside;
    for (size_t i = 0; i < burst_frames; ++i) {
        messages[i].msg_hdr.msg_control = beside[i].data();
        messages[i].msg_hdr.msg_controllen = beside[i].size();
        vectors[i] = {buffers_[i].data(), frame_bytes};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int count = recvmmsg(in_, messages.data(), burst_frames, MSG_DONTWAIT | MSG_TRUNC, nullptr);
    for (size_t i = 0; count > 0 && i < static_cast<size_t>(count); ++i)
        on_frame(buffers_[i].data(), messages[i].msg_len, vlan_of(messages[i].msg_hdr), now_ns);
}

/// Each segment that the line takes has random numbers of its own: its fate does not hang on the fates before it.
void Path::on_frame(const uint8_t* bytes, size_t length, uint16_t vlan, uint64_t now_ns) {
    ++counters_.frames_in;
    if (vlan != settings_.vlan_in) {
        ++counters_.wrong_vlan;
        return;
    }
    if (length > ethernet_frame_max) {
        ++counters_.oversized;
        return;
    }
    uint64_t departs_ns = now_ns;
    if (settings_.bits_per_second != 0) {
        const uint64_t free_ns = std::max(line_free_ns_, now_ns);
        const auto waiting =
            static_cast<double>(free_ns - now_ns) * static_cast<double>(settings_.bits_per_second) / 8e9;
        if (waiting > static_cast<double>(settings_.queue_bytes)) {
            ++counters_.queue_drops;
            return;
        }
        departs_ns = line_free_ns_ = free_ns + length * 8 * 1'000'000'000 / settings_.bits_per_second;
    }
    const bool tcp = is_tcp(bytes, length);
    Random random(tcp ? stream_ + counters_.segments_in++ : 0);
    in_burst_ = tcp && (in_burst_ ? !random.chance(1 / settings_.burst_length) : random.chance(settings_.burst));
    if (in_burst_) {
        ++counters_.lost_in_bursts;
        return;
    }
    const bool copied = random.chance(settings_.duplicate) && tcp;
    counters_.duplicated += copied ? 1 : 0;
    for (int copy = 0; copy < (copied ? 2 : 1); ++copy) {
        const bool lost = random.chance(settings_.loss) && tcp;
        const bool corrupted = random.chance(settings_.corrupt) && tcp;
        const uint64_t bit = random.below((length - ethernet_header) * 8);
        const bool held_back = random.chance(settings_.reorder) && tcp;
        const uint64_t hold_ns = random.below(settings_.reorder_us * 1000 + 1);
        uint64_t at_ns = departs_ns + settings_.delay_us * 1000 + random.below(settings_.jitter_us * 1000 + 1);
        if (lost) {
            ++counters_.lost;
            continue;
        }
        std::vector<uint8_t> frame(bytes, bytes + length);
        if (corrupted) {
            ++counters_.corrupted;
            frame[ethernet_header + bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
        }
        if (settings_.vlan_out != 0) {
            const uint8_t tag[] = {0x81, 0x00, static_cast<uint8_t>(settings_.vlan_out >> 8),
                                   static_cast<uint8_t>(settings_.vlan_out)};
            frame.insert(frame.begin() + ethernet_header - 2, std::begin(tag), std::end(tag));
        }
        if (held_back) {
            ++counters_.reordered;
            at_ns += hold_ns;
        } else {
            at_ns = in_order_until_ns_ = std::max(at_ns, in_order_until_ns_);
        }
        departures_.push({at_ns, order_++, std::move(frame)});
    }
}

void Path::send_due(uint64_t now_ns) {
    std::array<std::vector<uint8_t>, burst_frames> frames;
    std::array<iovec, burst_frames> vectors;
    std::array<mmsghdr, burst_frames> messages{};
    while (!departures_.empty() && departures_.top().at_ns <= now_ns) {
        unsigned count = 0;
        for (; count < burst_frames && !departures_.empty() && departures_.top().at_ns <= now_ns; ++count) {
            counters_.late_us_max = std::max(counters_.late_us_max, (now_ns - departures_.top().at_ns) / 1000);
            frames[count] = departures_.top().frame;
            departures_.pop();
            vectors[count] = {frames[count].data(), frames[count].size()};
            messages[count].msg_hdr.msg_iov = &vectors[count];
            messages[count].msg_hdr.msg_iovlen = 1;
            counters_.bytes_out += frames[count].size();
        }
        for (unsigned sent = 0; sent < count;) {
            const int done = sendmmsg(out_, &messages[sent], count - sent, 0);
            counters_.frames_out += done > 0 ? static_cast<unsigned>(done) : 0;
            counters_.send_refused += done > 0 ? 0 : 1;
            sent += done > 0 ? static_cast<unsigned>(done) : 1;  // one that is refused is lost
        }
    }
}

void Path::count_missed() {
    tpacket_stats statistics{};
    socklen_t length = sizeof statistics;
    if (getsockopt(in_, SOL_PACKET, PACKET_STATISTICS, &statistics, &length) == 0)
        counters_.missed = statistics.tp_drops;
}

}  // namespace impair
