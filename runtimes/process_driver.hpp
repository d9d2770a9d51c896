// A runtime that is our own process, started behind a signalbox-guard.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <optional>
#include <string>

#include "runtimes/http_probe.hpp"
#include "runtimes/launch.hpp"
#include "runtimes/log_file.hpp"
#include "runtimes/log_tail.hpp"
#include "runtimes/oom_watch.hpp"
#include "runtimes/port_pool.hpp"
#include "runtimes/run.hpp"

namespace signalbox::runtimes {

class process_run : public run {
 public:
  process_run(boost::asio::io_context& io, port_pool& ports, const oom_watch& ooms,
              const driver_options& options, std::string run_id, const config::model_options& model,
              run_request request, event_callback on_event);

  void begin() override;
  void stop(duration grace) override;
  void check() override;

 private:
  using handler = void (process_run::*)();

  void launch();
  void never_started(const std::string& why, std::string cure = {});
  void await_guard();
  void on_readable(boost::asio::posix::stream_descriptor& fd, handler then);
  void after(boost::asio::steady_timer& timer, duration delay, handler then);

  void output_readable();
  bool read_output();
  bool read_output_turn();
  void control_readable();
  bool read_control();
  void guard_ended();
  void clean_up();

  void ask_health(std::function<void(const probe_result&)> on_result);
  std::string explain(const probe_result& result) const;
  void probe();
  void probed(const probe_result& result, time_point asked_at);
  void start_timed_out();
  void main_ended(std::optional<int> wait_status);
  void close_all();
  void release();
  void send_stop(duration grace);

  port_pool& ports_;
  const oom_watch& ooms_;
  const driver_options& options_;
  log_file output_file_;
  log_tail log_;
  const std::string run_id_;  // see leftovers.hpp
  std::uint16_t port_ = 0;
  pid_t guard_pid_ = -1;
  boost::asio::posix::stream_descriptor guard_;
  boost::asio::posix::stream_descriptor control_;
  boost::asio::posix::stream_descriptor output_;
  boost::asio::steady_timer start_timer_;
  boost::asio::steady_timer timer_;  // next probe; after the exit, next look or clean-up
  bool stop_asked_ = false;
  duration grace_{};            // of the last stop that shortened it
  time_point kill_at_ = never;  // the end of that grace
  bool start_timed_out_ = false;
  std::string last_probe_;           // what the last probe before it was ready found
  time_point guard_due_at_ = never;  // the log tells of a guard that is not watched and still there
  bool found_nothing_ = false;       // the last clean-up did
  bool told_blind_ = false;          // that a clean-up could not look
  duration clean_up_gap_;            // to the next clean-up, or look at a guard that is not watched
  std::optional<std::string> exec_error_;
};

}  // namespace signalbox::runtimes
