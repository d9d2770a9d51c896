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
               event_callback on_event, name_lookup lookup);

  void begin() override;
  void stop(duration grace) override;
  void check() override;

 private:
  void probe();
  void probed(const probe_result& result, duration timeout);
  std::string explain(const probe_result& result, duration timeout) const;
  void tell_if_unreachable(const probe_result& result, duration timeout);
  duration next_gap() const;
  void became_ready(const std::string& address);
  void moved(const std::string& address);
  void end(scheduling::exit_reason reason, const std::string& detail);

  const name_lookup lookup_;
  probe_target target_;
  std::string path_;  // of the endpoint
  time_point give_up_at_{};
  std::uint32_t failures_ = 0;  // in a row
  time_point failing_since_{};  // the first of these
  bool is_probing_ = false;
  bool is_check_due_ = false;         // the next result is told
  bool is_unreachable_told_ = false;  // while it is not ready
  std::string why_not_;               // why the last probe failed; each reason is logged once
  boost::asio::steady_timer timer_;
};

}  // namespace signalbox::runtimes
