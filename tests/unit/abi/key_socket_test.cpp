#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <millrace/key_socket.h>

namespace millrace {
namespace {

TEST(SealedFile, ComesBackAndCanNotBeChanged) {
    std::string error, text;
    const int file = make_sealed_file("keys", error);
    ASSERT_GE(file, 0) << error;
    EXPECT_LT(write(file, "x", 1), 0);
    EXPECT_NE(ftruncate(file, 0), 0);
    EXPECT_TRUE(read_sealed_file(file, text, error)) << error;
    EXPECT_EQ(text, "keys");
    close(file);
}

TEST(SealedFile, AnUnsealedOneIsRefused) {
    const int file = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    ASSERT_EQ(write(file, "keys", 4), 4);
    std::string error, text;
    EXPECT_FALSE(read_sealed_file(file, text, error));
    EXPECT_EQ(error, "the file of keys is not sealed");
    close(file);
}

TEST(KeySocket, CarriesAFile) {
    char folder[] = "/tmp/millrace-keys-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    std::string error, text;
    EXPECT_LT(connect_to_key_socket(folder), 0) << "nobody listens";
    const int server = listen_at_key_socket(folder, error);
    ASSERT_GE(server, 0) << error;
    const int client = connect_to_key_socket(folder);
    ASSERT_GE(client, 0);
    const int accepted = accept4(server, nullptr, nullptr, SOCK_CLOEXEC);
    EXPECT_TRUE(peer_owns(client, folder) && peer_owns(accepted, folder));
    EXPECT_TRUE(geteuid() == 0 || !peer_owns(client, "/"));
    const int file = make_sealed_file("keys", error);
    EXPECT_TRUE(send_file(client, file));
    const int received = receive_file(accepted);
    ASSERT_GE(received, 0);
    EXPECT_TRUE(read_sealed_file(received, text, error)) << error;
    EXPECT_EQ(text, "keys");
    EXPECT_EQ(send(client, "x", 1, 0), 1);
    EXPECT_LT(receive_file(accepted), 0) << "a message without a file";
    for (const int descriptor : {server, client, accepted, file, received}) close(descriptor);
    std::filesystem::remove_all(folder);
}

TEST(KeySocket, APathThatIsTooLongIsRefused) {
    std::string error;
    EXPECT_LT(listen_at_key_socket("/tmp/" + std::string(120, 'x'), error), 0);
    EXPECT_NE(error.find("File name too long"), std::string::npos) << error;
}

}  // namespace
}  // namespace millrace
