// What one upgrade costs in HTTP work: finding the head's end, parsing, forwarding, and checking the server's answer.
// The head is a browser's (600 bytes, 13 fields), hot in cache. Reports TSC cycles per item beside the time.
#include <benchmark/benchmark.h>
#include <openssl/sha.h>
#include <string_view>
#include <x86intrin.h>

#include <millrace/assert.h>

#include "dataplane/http/accept_key.h"
#include "dataplane/http/head_scan.h"
#include "dataplane/http/rewrite.h"

namespace millrace::http {
namespace {

constexpr std::string_view request_text =
    "GET /stream/quotes?symbols=ABC,DEF,GHI HTTP/1.1\r\nHost: ticker.example:8443\r\nConnection: Upgrade\r\n"
    "Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: https://ticker.example\r\n"
    "Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en-US,en;q=0.9\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; visit=0123456789abcdef0123456789\r\nSec-WebSocket-Key: "
    "dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
static_assert(request_text.size() == 600);
constexpr std::string_view response_text =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nServer: x\r\n\r\n";

std::span<const uint8_t> bytes_of(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

template <typename Work>
void measure(benchmark::State& state, Work work) {
    const uint64_t start = __rdtsc();
    for (auto _ : state) work();
    state.counters["cycles"] = static_cast<double>(__rdtsc() - start) / static_cast<double>(state.iterations());
}

void scan(benchmark::State& state) {
    measure(state, [] { benchmark::DoNotOptimize(scan_head(bytes_of(request_text), 0)); });
}
BENCHMARK(scan);

void parse(benchmark::State& state) {
    measure(state, [] {
        RequestHead request;
        MILLRACE_ASSERT(parse_request(bytes_of(request_text), request) == 0);
        benchmark::DoNotOptimize(request);
    });
}
BENCHMARK(parse);

void forward(benchmark::State& state) {
    RequestHead request;
    MILLRACE_ASSERT(parse_request(bytes_of(request_text), request) == 0);
    const ForwardValues values = {.client_address = "198.18.0.7", .proto = "https", .request_id = "0123456789abcdef"};
    uint8_t out[2048];
    measure(state, [&] { benchmark::DoNotOptimize(write_request(request, {}, values, out)); });
}
BENCHMARK(forward);

void answer(benchmark::State& state) {
    uint8_t out[2048];
    measure(state, [&] {
        const HeadScan scan = scan_head(bytes_of(response_text), 0);
        ResponseHead response;
        MILLRACE_ASSERT(parse_response(bytes_of(response_text).first(scan.length), RequestKind::websocket, response));
        MILLRACE_ASSERT(accepts_websocket(response, as_text(accept_key("dGhlIHNhbXBsZSBub25jZQ=="))));
        benchmark::DoNotOptimize(write_response(response, out));
    });
}
BENCHMARK(answer);

void hash_key(benchmark::State& state) {
    measure(state, [] { benchmark::DoNotOptimize(accept_key("dGhlIHNhbXBsZSBub25jZQ==")); });
}
BENCHMARK(hash_key);

// What accept_key avoids: OpenSSL 3's SHA1() fetches the algorithm and allocates a context. One block, same input size.
void openssl_one_shot_sha1(benchmark::State& state) {
    uint8_t message[60] = {}, digest[20];
    measure(state, [&] { benchmark::DoNotOptimize(SHA1(message, sizeof message, digest)); });
}
BENCHMARK(openssl_one_shot_sha1);

}  // namespace
}  // namespace millrace::http
