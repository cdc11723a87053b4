// Request smuggling lives where two parsers read one message differently. Every such message that we know of, in one
// table: what it is, the request, and the status it must be refused with.
#include <gtest/gtest.h>
#include <string>

#include "heads.h"

namespace millrace::http::test {
namespace {

using namespace std::string_literals;

struct Case {
    const char* what;
    std::string request;
    uint16_t status;
};

std::string request(std::string_view line, std::string_view fields) {
    return std::string(line) + "\r\n" + std::string(fields) + "\r\n";
}

constexpr auto post = "POST / HTTP/1.1";

const Case cases[] = {
    // Two framings at once, or one that can be read as another number.
    {"length and chunked", request(post, "Host: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n"), 400},
    {"chunked and length", request(post, "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n"), 400},
    {"length twice", request(post, "Host: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n"), 400},
    {"equal lengths twice", request(post, "Host: a\r\nContent-Length: 4\r\ncontent-length: 4\r\n"), 400},
    {"length list", request(post, "Host: a\r\nContent-Length: 4, 4\r\n"), 400},
    {"length with plus", request(post, "Host: a\r\nContent-Length: +4\r\n"), 400},
    {"length with minus", request(post, "Host: a\r\nContent-Length: -4\r\n"), 400},
    {"length in hexadecimal", request(post, "Host: a\r\nContent-Length: 0x4\r\n"), 400},
    {"length with fraction", request(post, "Host: a\r\nContent-Length: 4.0\r\n"), 400},
    {"length with inner blank", request(post, "Host: a\r\nContent-Length: 4 4\r\n"), 400},
    {"length empty", request(post, "Host: a\r\nContent-Length:\r\n"), 400},
    {"length quoted", request(post, "Host: a\r\nContent-Length: \"4\"\r\n"), 400},
    {"length 2^63", request(post, "Host: a\r\nContent-Length: 9223372036854775808\r\n"), 400},
    {"length 2^64 plus 4", request(post, "Host: a\r\nContent-Length: 18446744073709551620\r\n"), 400},
    {"chunked in HTTP/1.0", request("POST / HTTP/1.0", "Host: a\r\nTransfer-Encoding: chunked\r\n"), 400},

    // Transfer codings that only some parsers take for chunked.
    {"coding identity", request(post, "Host: a\r\nTransfer-Encoding: identity\r\n"), 501},
    {"coding gzip, chunked", request(post, "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n"), 501},
    {"coding chunked, gzip", request(post, "Host: a\r\nTransfer-Encoding: chunked, gzip\r\n"), 501},
    {"coding chunked twice", request(post, "Host: a\r\nTransfer-Encoding: chunked, chunked\r\n"), 501},
    {"coding in two fields", request(post, "Host: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
     501},
    {"coding quoted", request(post, "Host: a\r\nTransfer-Encoding: \"chunked\"\r\n"), 501},
    {"coding xchunked", request(post, "Host: a\r\nTransfer-Encoding: xchunked\r\n"), 501},
    {"coding with parameter", request(post, "Host: a\r\nTransfer-Encoding: chunked;q=1\r\n"), 501},
    {"coding empty", request(post, "Host: a\r\nTransfer-Encoding:\r\n"), 501},
    {"coding after vertical tab", request(post, "Host: a\r\nTransfer-Encoding:\vchunked\r\n"), 400},

    // Field names that some parsers trim or repair.
    {"blank before colon", request(post, "Host: a\r\nContent-Length : 4\r\n"), 400},
    {"tab before colon", request(post, "Host: a\r\nTransfer-Encoding\t: chunked\r\n"), 400},
    {"blank in name", request(post, "Host: a\r\nContent Length: 4\r\n"), 400},
    {"empty name", request(post, "Host: a\r\n: 4\r\n"), 400},
    {"no colon", request(post, "Host: a\r\nContent-Length\r\n"), 400},
    {"obs-text in name", request(post, "Host: a\r\nContent-Length\xa0: 4\r\n"), 400},
    {"NUL in name", request(post, "Host: a\r\nContent-Length\0: 4\r\n"s), 400},
    {"bracket in name", request(post, "Host: a\r\nContent-Length(x): 4\r\n"), 400},

    // Lines that end, continue or begin differently.
    {"obs-fold", request(post, "Host: a\r\nTransfer-Encoding:\r\n chunked\r\n"), 400},
    {"obs-fold with tab", request(post, "Host: a\r\nContent-Length: 4\r\n\t4\r\n"), 400},
    {"bare LF", request(post, "Host: a\nContent-Length: 4\r\n"), 400},
    {"bare CR", request(post, "Host: a\rContent-Length: 4\r\n"), 400},
    {"NUL in value", request(post, "Host: a\r\nX: a\0b\r\n"s), 400},
    {"blank before first field", request(post, " Host: a\r\n"), 400},

    // Who is meant.
    {"no host", request(post, "X: y\r\n"), 400},
    {"two hosts", request(post, "Host: a\r\nHost: b\r\n"), 400},
    {"equal hosts twice", request(post, "Host: a\r\nhost: a\r\n"), 400},
    {"two hosts in HTTP/1.0", request("GET / HTTP/1.0", "Host: a\r\nHost: b\r\n"), 400},
    {"two hosts beside an absolute form", request("GET http://a/ HTTP/1.1", "Host: a\r\nHost: b\r\n"), 400},
    {"empty host", request(post, "Host:\r\n"), 400},
    {"host list", request(post, "Host: a, b\r\n"), 400},
    {"host with user", request(post, "Host: a@b\r\n"), 400},
    {"host with path", request(post, "Host: a/b\r\n"), 400},
    {"host with bad port", request(post, "Host: a:8o\r\n"), 400},
    {"host with port out of range", request(post, "Host: a:65536\r\n"), 400},
    {"host with six digits of port", request(post, "Host: a:000080\r\n"), 400},
    {"host with two ports", request(post, "Host: a:80:81\r\n"), 400},
    {"host with empty label", request(post, "Host: a..b\r\n"), 400},
    {"host with leading dot", request(post, "Host: .b\r\n"), 400},
    {"host only dots", request(post, "Host: ..\r\n"), 400},
    {"host with open bracket", request(post, "Host: [::1\r\n"), 400},
    {"host with empty brackets", request(post, "Host: []\r\n"), 400},
    {"host with text after bracket", request(post, "Host: [::1]a\r\n"), 400},
    {"host with zone", request(post, "Host: [fe80::1%25eth0]\r\n"), 400},
    {"absolute form without host", request("GET http:///x HTTP/1.1", "Host: a\r\n"), 400},
    {"absolute form with user", request("GET http://u:p@a/x HTTP/1.1", "Host: a\r\n"), 400},
    {"absolute form of another scheme", request("GET ftp://a/x HTTP/1.1", "Host: a\r\n"), 400},
    {"bad host beside an absolute form", request("GET http://a/x HTTP/1.1", "Host: a b\r\n"), 400},

    // Request lines.
    {"authority form", request("GET a:80 HTTP/1.1", "Host: a\r\n"), 400},
    {"asterisk form", request("GET * HTTP/1.1", "Host: a\r\n"), 400},
    {"options for all", request("OPTIONS * HTTP/1.1", "Host: a\r\n"), 501},
    {"connect", request("CONNECT a:80 HTTP/1.1", "Host: a\r\n"), 501},
    {"two blanks", request("GET  / HTTP/1.1", "Host: a\r\n"), 400},
    {"blank in target", request("GET /a b HTTP/1.1", "Host: a\r\n"), 400},
    {"tab as blank", request("GET\t/\tHTTP/1.1", "Host: a\r\n"), 400},
    {"tab in target", request("GET /a\tb HTTP/1.1", "Host: a\r\n"), 400},
    {"blank after version", request("GET / HTTP/1.1 ", "Host: a\r\n"), 400},
    {"fragment", request("GET /a#b HTTP/1.1", "Host: a\r\n"), 400},
    {"obs-text in target", request("GET /\xe4 HTTP/1.1", "Host: a\r\n"), 400},
    {"no target", request("GET HTTP/1.1", "Host: a\r\n"), 400},
    {"HTTP/0.9", "GET /\r\n\r\n", 400},
    {"method with colon", request("G:T / HTTP/1.1", "Host: a\r\n"), 400},
    {"method too long", request(std::string(33, 'M') + " / HTTP/1.1", "Host: a\r\n"), 501},
    {"version 2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"version 1.2", request("GET / HTTP/1.2", "Host: a\r\n"), 505},
    {"version 0.9", request("GET / HTTP/0.9", "Host: a\r\n"), 505},
    {"version in lower case", request("GET / http/1.1", "Host: a\r\n"), 400},
    {"version with two digits", request("GET / HTTP/1.10", "Host: a\r\n"), 400},
    {"version with leading zero", request("GET / HTTP/01.1", "Host: a\r\n"), 400},

    // Connection and the upgrade.
    {"connection option not a token", request(post, "Host: a\r\nConnection: a b\r\n"), 400},
    {"upgrade with a body", upgrade_with("Content-Length: 5\r\n"), 400},
    {"upgrade with chunks", upgrade_with("Transfer-Encoding: chunked\r\n"), 400},
};

class AmbiguousFramingTest : public testing::TestWithParam<Case> {};

TEST_P(AmbiguousFramingTest, IsRefused) {
    EXPECT_EQ(ParsedRequest(GetParam().request).status, GetParam().status) << GetParam().what;
}

INSTANTIATE_TEST_SUITE_P(, AmbiguousFramingTest, testing::ValuesIn(cases), name_of_case<Case>);

}  // namespace
}  // namespace millrace::http::test
