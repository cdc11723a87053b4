// Assertions for our own mistakes only; they stay on in release builds. A misbehaving peer or an exhausted resource is
// never a reason to assert: those are counted and handled.
#pragma once

namespace millrace {

/// Prints `file:line: expression` to standard error and aborts. Never returns.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace millrace

#define MILLRACE_ASSERT(expression)                     \
    (__builtin_expect(static_cast<bool>(expression), 1) \
         ? void(0)                                      \
         : ::millrace::assertion_failed(#expression, __FILE__, __LINE__))
