// How much of the peer's window is worth using (RFC 9293 §3.8.6.2.1, MUST-38): against windows that open by a few bytes
// at a time. Internal to tcp/.
//
// With something in flight only a full segment, or the end of the queue, is sent (sender.cpp). With nothing in flight a
// window of about half the largest one that the peer has ever had will do, for peers whose windows never take a full
// segment; less waits until more comes, or until the override timeout: that is the persist timer with a window.
//
// Of the largest window only its size in halvings of two segments is kept: 7 stands for two segments and more. So what
// counts as half of it is between a quarter and a half.
#pragma once

#include <algorithm>

#include "dataplane/base/fault.h"
#include "dataplane/base/time.h"
#include "dataplane/tcp/endpoint.h"

namespace millrace::tcp {

inline constexpr uint8_t largest_window_full = 7;
inline constexpr TimeUs override_timeout_max_us = us_per_s;  // RFC 9293 §3.8.6.2.1: 0.1 to 1 s

/// hot.snd_wnd or hot.mss has been set.
inline void note_send_window(Endpoint ep) {
    while (ep.warm.largest_window < largest_window_full &&
           ep.hot.snd_wnd >= (2u * ep.hot.mss) >> (largest_window_full - 1 - ep.warm.largest_window))
        ++ep.warm.largest_window;
}

/// With nothing in flight and `unsent` bytes waiting: the window is open, but too small to be used now.
inline bool send_window_silly(Endpoint ep, uint32_t unsent) {
    const uint32_t worthwhile = std::max(1u, uint32_t{ep.hot.mss} >> (largest_window_full - ep.warm.largest_window));
    if (fault(Fault::tcp_silly_window_filled)) return false;
    return ep.hot.snd_wnd != 0 && ep.hot.snd_wnd < std::min(unsent, worthwhile);
}

}  // namespace millrace::tcp
