// A runtime that somebody else started: the driver watches it and never stops it.
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
  void probed(const probe_result& result);
  void became_ready(const std::string& address);
  void end(scheduling::exit_reason reason, const std::string& detail);

  probe_target target_;
  time_point give_up_at_{};
  std::uint32_t failures_ = 0;  // in a row
  std::string why_not_;         // why the last probe failed; each reason is logged once
  boost::asio::steady_timer timer_;
};

}  // namespace signalbox::runtimes
