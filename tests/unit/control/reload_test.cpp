// Reloads in the controller itself, without API: their thread, and what stands between publishing and being in force.
#include <gtest/gtest.h>
#include <thread>
#include <unistd.h>

#include "control/controller.h"
#include "running_control.h"
#include "temp_run.h"

namespace millrace::control::test {
namespace {

// A reload in the background calls the main thread, so the main thread must never wait for one.
TEST(Reload, SignalsInAnyRhythmDontStopTheMainThread) {
    TempRun run;
    run.write_config(SampleConfig().text());
    Controller controller("test", run.config_path());
    std::string error;
    ASSERT_TRUE(controller.open(error)) << error;
    SystemResolver resolver;
    controller.start_with(load_config(run.config_path(), resolver));
    std::atomic<bool> done = false;
    std::thread main_thread([&] {
        for (int i = 0; i < 200'000; ++i) {
            controller.reload_in_background();
            if (i % 16 == 0) controller.turn();
        }
        done = true;
    });
    const bool ended = eventually([&] { return done.load(); }, 20'000);
    if (!ended) _exit(1);  // nothing can be joined any more
    controller.release_callers();
    main_thread.join();
}

}  // namespace
}  // namespace millrace::control::test
