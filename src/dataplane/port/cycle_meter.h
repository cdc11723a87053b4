// Where the cycles of a polling loop go, counted around useful work: a round that found nothing to do is idle, whatever
// it looked at; in a round that did something, the device's burst calls are told apart from the rest. One thread.
#pragma once

#include <cstdint>
#include <rte_cycles.h>

namespace millrace::port {

class CycleMeter {
  public:
    /// Runs one of the device's burst calls.
    template <typename Call>
    auto device(Call&& call) {
        const DeviceTime time(device_in_round_);
        return call();
    }

    /// Ends a round; what follows belongs to the next one.
    void end_round(bool busy) {
        const uint64_t now = rte_rdtsc();
        if (busy) {
            busy_ += now - round_began_ - device_in_round_;
            device_ += device_in_round_;
        } else {
            idle_ += now - round_began_;
        }
        round_began_ = now;
        device_in_round_ = 0;
    }

    uint64_t busy() const { return busy_; }      ///< without the device's calls
    uint64_t device() const { return device_; }  ///< its calls, in rounds that did something
    uint64_t idle() const { return idle_; }

  private:
    class DeviceTime {
      public:
        explicit DeviceTime(uint64_t& sum) : sum_(sum), began_(rte_rdtsc()) {}
        ~DeviceTime() { sum_ += rte_rdtsc() - began_; }
        DeviceTime(const DeviceTime&) = delete;
        DeviceTime& operator=(const DeviceTime&) = delete;

      private:
        uint64_t& sum_;
        uint64_t began_;
    };

    uint64_t round_began_ = rte_rdtsc();
    uint64_t device_in_round_ = 0;
    uint64_t busy_ = 0, device_ = 0, idle_ = 0;
};

}  // namespace millrace::port
