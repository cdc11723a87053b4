// A run directory for one test, empty at its start and gone at its end.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <span>
#include <string>
#include <sys/stat.h>

namespace millrace::app::test {

class RunDirectoryTest : public ::testing::Test {
  protected:
    RunDirectoryTest() {
        char name[] = "/tmp/millrace-app-XXXXXX";
        base_ = mkdtemp(name);
        setenv("MILLRACE_RUN", base_.c_str(), 1);
    }
    ~RunDirectoryTest() override {
        unsetenv("MILLRACE_RUN");
        std::filesystem::remove_all(base_);
    }

    std::string path(const std::string& file) const { return base_ + "/test/dataplane/" + file; }
    std::string control_path(const std::string& file) const { return base_ + "/test/control/" + file; }

    /// Puts a file of control's in place as control does: beside, then renamed.
    void place(const std::string& file, std::span<const std::byte> bytes) {
        std::filesystem::create_directories(control_path(""));
        std::ofstream(control_path(file + ".new"), std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
        std::filesystem::rename(control_path(file + ".new"), control_path(file));
    }

    /// Permission bits of a file of the dataplane's.
    unsigned mode(const std::string& file) const {
        struct stat status {};
        EXPECT_EQ(stat(path(file).c_str(), &status), 0) << file;
        return status.st_mode & 07777;
    }

    std::string base_;
};

}  // namespace millrace::app::test
