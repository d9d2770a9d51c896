// A guard that cannot be watched, and does not end, holds up no other run of its driver.
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>
#include <cstddef>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "runtimes/process_driver.hpp"
#include "tests/runtimes/support.hpp"
#include "tests/scratch_folder.hpp"

using namespace signalbox;
using namespace signalbox::runtimes;
using namespace signalbox::runtimes::testing;

namespace {

namespace asio = boost::asio;

// From now on this thread, and what it starts, gets EMFILE for each pidfd_open(2). Returns false
// where the kernel has no such filters.
bool refuse_pidfds() {
  std::array<sock_filter, 4> rules{{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EMFILE),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{rules.size(), rules.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// The loop of a driver that can watch no guard. What stands for the guard does not see that its
// socket is closed, as if its tree could not be killed, and goes when it is told to.
class blind_driver {
 public:
  blind_driver() {
    folder_.write("signalbox-guard", "#!/bin/sh\nread word < '" + folder_.path("end") + "'\n",
                  0700);
    BOOST_REQUIRE(mkfifo(folder_.path("end").c_str(), 0600) == 0);
    end_ = unique_fd(open(folder_.path("end").c_str(), O_RDWR | O_CLOEXEC));
    BOOST_REQUIRE(end_.get() >= 0);
    options_ = {.data_dir = own_folder(), .program_dir = folder_.path().string()};
    std::promise<bool> blind;
    auto is_blind = blind.get_future();
    thread_ = std::thread([this, &blind] {
      blind.set_value(refuse_pidfds());
      io_.run();
    });
    is_blind_ = is_blind.get();
  }
  ~blind_driver() {
    end_guard();
    work_.reset();
    thread_.join();
  }

  bool is_blind() const { return is_blind_; }
  void start(event_callback on_event) {
    config::model_options model;
    model.name = "demo";
    model.command = {"true"};
    auto run = std::make_shared<process_run>(io_, ports_, ooms_, options_, "blind-driver-1", model,
                                             request_of(1), std::move(on_event));
    asio::post(io_, [run = std::move(run)] { run->begin(); });
  }
  void end_guard() {
    if (!std::exchange(is_told_, true)) BOOST_TEST(write(end_.get(), "end\n", 4) == 4);
  }
  // Returns whether the loop does what it is told.
  bool turns() {
    std::promise<void> done;
    auto is_done = done.get_future();
    asio::post(io_, [done = std::make_shared<std::promise<void>>(std::move(done))] {
      done->set_value();
    });
    return is_done.wait_for(patience) == std::future_status::ready;
  }

 private:
  scratch_folder folder_;
  unique_fd end_;
  bool is_told_ = false, is_blind_ = false;
  driver_options options_;
  port_pool ports_;
  oom_watch ooms_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
  std::thread thread_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(a_guard_that_cannot_be_watched_holds_up_no_other_run) {
  blind_driver driver;
  if (!driver.is_blind()) {
    BOOST_TEST_MESSAGE("no seccomp here");
    return;
  }
  event_log events;
  driver.start(events.callback());
  const auto exited = events.wait_for<runtime_exited>();
  BOOST_TEST((exited.reason == scheduling::exit_reason::start_failed));
  BOOST_TEST(exited.detail.starts_with("cannot start the guard: pidfd_open: "), exited.detail);
  BOOST_TEST(driver.turns());
  BOOST_TEST(events.order() == "exited");  // its lease is kept
  driver.end_guard();
  events.wait_for<runtime_released>();
  BOOST_TEST(events.order() == "exited released");
}
