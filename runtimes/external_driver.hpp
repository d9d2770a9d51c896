// A runtime that somebody else started: it is watched, and never stopped.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <string>

#include "runtimes/http_probe.hpp"
#include "runtimes/run.hpp"

namespace signalbox::runtimes {

class external_run : public run {
 public:
  external_run(boost::asio::io_context& io, const config::model_options& model, run_request request,
               event_callback on_event);

  void begin() override;
  void stop(duration grace) override;

 private:
  void probe();
  void probed(probe_outcome outcome);
  void end(scheduling::exit_reason reason, const std::string& detail);

  std::string host_;
  std::uint16_t port_ = 0;
  time_point give_up_at_{};
  std::uint32_t failures_ = 0;  // in a row
  boost::asio::steady_timer timer_;
};

}  // namespace signalbox::runtimes
