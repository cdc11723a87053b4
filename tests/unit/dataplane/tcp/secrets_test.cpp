// RFC 6528 §3 (initial sequence numbers), RFC 7323 §7.1 (timestamp offsets).
#include "dataplane/tcp/secrets.h"

#include <gtest/gtest.h>

namespace millrace::tcp {
namespace {

const Tuple tuple{IpAddress::v4(198, 18, 0, 1), IpAddress::v4(198, 18, 0, 2), 1000, 443};

TEST(Secrets, InitialSequenceNumberTicksEveryFourMicroseconds) {
    const Secrets secrets{{1, 2}, {3, 4}, {5, 6}, {}};
    const Seq first = initial_sequence_number(secrets, tuple, 8'000'000);
    EXPECT_EQ(initial_sequence_number(secrets, tuple, 8'000'004) - first, 1u);
    EXPECT_EQ(initial_sequence_number(secrets, tuple, 9'000'000) - first, 250'000u);
}

TEST(Secrets, ValuesDependOnKeyAndEveryPartOfTheTuple) {
    const Secrets secrets{{1, 2}, {3, 4}, {5, 6}, {}}, others{{1, 3}, {3, 5}, {5, 7}, {}};
    Tuple port = tuple, address = tuple;
    port.local_port = 1001;
    address.peer = IpAddress::v4(198, 18, 0, 3);
    const Seq isn = initial_sequence_number(secrets, tuple, 0);
    EXPECT_NE(isn, initial_sequence_number(others, tuple, 0));
    EXPECT_NE(isn, initial_sequence_number(secrets, port, 0));
    EXPECT_NE(isn, initial_sequence_number(secrets, address, 0));
    EXPECT_NE(timestamp_offset(secrets, tuple), timestamp_offset(secrets, port));
    EXPECT_NE(timestamp_offset(secrets, tuple), timestamp_offset(others, tuple));
    EXPECT_NE(table_hash(secrets, tuple), table_hash(others, tuple));
}

}  // namespace
}  // namespace millrace::tcp
