// The I/O thread of the driver, and the handles that other threads hold. Now and then it reaps what
// the gateway adopted, and looks whether the kernel is short of memory.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <thread>

#include "runtimes/external_driver.hpp"
#include "runtimes/leftovers.hpp"
#include "runtimes/process_driver.hpp"
#include "system/children.hpp"

namespace signalbox::runtimes {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr auto destroy_timeout = 10s;  // SIGKILL takes milliseconds, a hung GPU driver forever
constexpr auto house_gap = 2s;

using io_ptr = std::shared_ptr<asio::io_context>;

class handle : public runtime_handle {
 public:
  handle(io_ptr io, std::shared_ptr<run> r) : io_(std::move(io)), run_(std::move(r)) {}

  ~handle() override {
    stop(duration::zero());
    if (io_->get_executor().running_in_this_thread()) return;  // it would wait for itself
    if (run_->gone().wait_for(destroy_timeout) != std::future_status::ready) {
      spdlog::error("a runtime does not end although it was killed");
    }
  }

  void stop(duration grace) override {
    asio::post(*io_, [r = run_, grace] { r->stop(grace); });
  }

  void check() override {
    asio::post(*io_, [r = run_] { r->check(); });
  }

 private:
  io_ptr io_;  // may outlive its thread; posts then have no effect
  std::shared_ptr<run> run_;
};

class driver : public runtime_driver {
 public:
  explicit driver(driver_options options)
      : options_(std::move(options)), names_(options_.data_dir) {
    adopt_orphans();
    end_orphans(names_);
    keep_house();
    thread_ = std::thread([this] { io_->run(); });
  }

  // Kills whatever still runs, although its handle still exists.
  ~driver() override {
    std::vector<std::shared_ptr<run>> left;
    std::promise<void> collected;
    asio::post(*io_, [&] {
      for (const auto& weak : runs_) {
        if (auto r = weak.lock()) {
          r->stop(duration::zero());
          left.push_back(std::move(r));
        }
      }
      collected.set_value();
    });
    collected.get_future().wait();
    const auto deadline = std::chrono::steady_clock::now() + destroy_timeout;
    for (const auto& r : left) r->gone().wait_until(deadline);
    io_->stop();
    thread_.join();
  }

  std::unique_ptr<runtime_handle> start(const config::model_options& model,
                                        const run_request& request,
                                        event_callback on_event) override {
    std::shared_ptr<run> r;
    if (model.driver == config::driver_kind::external) {
      r = std::make_shared<external_run>(*io_, model, request, std::move(on_event),
                                         finder_.lookup());
    } else {
      r = std::make_shared<process_run>(*io_, ports_, ooms_, options_, names_.next(), model,
                                        request, std::move(on_event));
    }
    asio::post(*io_, [this, r] {
      std::erase_if(runs_, [](const auto& other) { return other.expired(); });
      runs_.push_back(r);
      r->begin();
    });
    return std::make_unique<handle>(io_, std::move(r));
  }

 private:
  void keep_house() {
    reap_adopted();
    ooms_.sample();
    house_timer_.expires_after(house_gap);
    house_timer_.async_wait([this](const auto& error) {
      if (!error) keep_house();
    });
  }

  const driver_options options_;
  const run_names names_;
  io_ptr io_ = std::make_shared<asio::io_context>(1);
  asio::executor_work_guard<asio::io_context::executor_type> keep_running_{io_->get_executor()};
  asio::steady_timer house_timer_{*io_};
  name_finder finder_{*io_};
  port_pool ports_;
  oom_watch ooms_;
  std::vector<std::weak_ptr<run>> runs_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<runtime_driver> make_runtime_driver(driver_options options) {
  return std::make_unique<driver>(std::move(options));
}

}  // namespace signalbox::runtimes
