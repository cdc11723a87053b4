// The text of a capture's filter: what an operator writes, as a program for the workers.
//
//   expression := term { "or" term }        term := factor { "and" factor }
//   factor := "not" factor | "(" expression ")"
//           | "host" ADDRESS | "port" N | "tcp" | "udp" | "icmp" | "arp"
#pragma once

#include <string>
#include <string_view>

#include <millrace/capture.h>

namespace millrace {

inline constexpr size_t capture_filter_text_max = 1024;

/// The program of `text`; an empty one (every frame) of a text without words. False, with what is wrong and where, when
/// it is no expression, longer than capture_filter_text_max, or has more than CaptureFilter::steps_max steps.
bool parse_capture_filter(std::string_view text, CaptureFilter& filter, std::string& error);

}  // namespace millrace
