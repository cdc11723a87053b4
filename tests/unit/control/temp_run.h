// A run directory of a test's own under /tmp, found by every part through MILLRACE_RUN and removed at the end; and
// configuration files in it.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <unistd.h>

#include <millrace/run_directory.h>

namespace millrace::control::test {

class TempRun {
  public:
    TempRun() {
        char name[] = "/tmp/millrace-control-XXXXXX";
        if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
        root_ = name;
        // Processes that leave root behind must get through.
        std::filesystem::permissions(root_, std::filesystem::perms(0755));
        setenv("MILLRACE_RUN", (root_ + "/run").c_str(), 1);
        std::string error;
        for (const RunPart part : {RunPart::control, RunPart::dataplane}) {
            const int lock = take_run_directory("test", part, error);
            if (lock < 0) throw std::runtime_error(error);
            close(lock);
        }
    }
    ~TempRun() {
        unsetenv("MILLRACE_RUN");
        std::error_code ignored;
        std::filesystem::remove_all(root_, ignored);
    }

    std::string directory() const { return run_directory("test"); }
    std::string control_directory() const { return run_directory("test", RunPart::control); }
    std::string config_path() const { return root_ + "/config.toml"; }
    void write_config(const std::string& text) const { std::ofstream(config_path(), std::ios::trunc) << text; }

  private:
    std::string root_;
};

struct SampleConfig {
    std::string servers = "ab";  ///< one letter each
    bool health = true;
    std::string weight_of_a = "5";
    std::string sockets = "";  ///< further [[control.admin_socket]] tables

    std::string text() const {
        std::string text = "schema = 1\n[control]\n" + sockets +
                           "[[interface]]\nname = \"front\"\ndriver = \"af_packet\"\ndevice = \"mr0\"\n"
                           "addresses = [\"198.18.0.1/24\"]\n[[listener]]\nname = \"web\"\naddress = \"*\"\nport = 80\n"
                           "backend = \"quotes\"\n[[backend]]\nname = \"quotes\"\n";
        if (health)
            text += "[backend.health]\ntype = \"tcp\"\ninterval = \"100ms\"\ntimeout = \"50ms\"\nrise = 1\nfall = 2\n";
        for (const char name : servers)
            text += std::string("[[backend.server]]\nname = \"") + name + "\"\naddress = \"198.18.0." +
                    std::to_string(name - 'a' + 10) + ":8080\"\nweight = " + (name == 'a' ? weight_of_a : "1") + '\n';
        return text;
    }
};

}  // namespace millrace::control::test
