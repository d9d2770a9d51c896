// One run of one backend, on the I/O thread of the driver. The common part of processes and
// external endpoints: events come in order, and each at most once.
#pragma once

#include <boost/asio/io_context.hpp>
#include <future>
#include <memory>

#include "runtimes/driver.hpp"

namespace signalbox::runtimes {

class run : public std::enable_shared_from_this<run> {
 public:
  run(boost::asio::io_context& io, const config::model_options& model, run_request request,
      event_callback on_event)
      : io_(io),
        model_(model),
        request_(request),
        on_event_(std::move(on_event)),
        gone_(promise_.get_future().share()) {}
  virtual ~run() = default;

  virtual void begin() = 0;
  virtual void stop(duration grace) = 0;
  virtual void check() = 0;  // tells `checked`, if it is ready

  const std::shared_future<void>& gone() const { return gone_; }  // for any thread

 protected:
  void tell_spawned(std::int64_t pid) {
    if (!exited_) on_event_(runtime_spawned{request_.incarnation, pid});
  }
  void tell_ready(runtime_ready where) {  // its incarnation is filled in
    if (exited_ || ready_) return;
    ready_ = true;
    where.incarnation = request_.incarnation;
    on_event_(std::move(where));
  }
  void tell_checked(bool is_healthy, std::string detail) {
    if (!exited_) {
      on_event_(runtime_checked{request_.incarnation, is_healthy, std::move(detail)});
    }
  }
  void tell_exited(scheduling::exit_reason reason, std::string detail,
                   std::vector<std::string> log_tail = {}, std::string cure = {}) {
    if (exited_) return;
    exited_ = true;
    on_event_(runtime_exited{request_.incarnation, reason, std::move(detail), std::move(log_tail),
                             std::move(cure)});
  }
  void tell_released() {
    if (released_) return;
    released_ = true;
    on_event_(runtime_released{request_.incarnation});
    promise_.set_value();
  }
  bool ready() const { return ready_; }
  bool exited() const { return exited_; }
  bool released() const { return released_; }

  template <typename Self>
  std::shared_ptr<Self> self_as() {
    return std::static_pointer_cast<Self>(shared_from_this());
  }

  boost::asio::io_context& io_;
  const config::model_options model_;
  const run_request request_;

 private:
  event_callback on_event_;
  std::promise<void> promise_;
  std::shared_future<void> gone_;
  bool ready_ = false;
  bool exited_ = false;
  bool released_ = false;
};

}  // namespace signalbox::runtimes
