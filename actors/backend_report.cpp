#include "actors/backend_report.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace signalbox {
namespace {

using scheduling::lifecycle_state;
using scheduling::start_order;

constexpr std::size_t logged_lines = 20;  // of a dead runtime's output; the crash log has more

}  // namespace

backend_status status_of(const scheduling::model_lifecycle& core, wall_time started_at,
                         const backend_endpoint* endpoint) {
  const auto state = core.state();
  const bool serves = state == lifecycle_state::ready || state == lifecycle_state::draining;
  const bool runs =
      serves || state == lifecycle_state::starting || state == lifecycle_state::stopping;
  backend_status status;
  status.state = core.shown_state();
  status.incarnation = core.incarnation();
  status.token = core.token();
  if (status.token != 0) status.gpus = core.gpus();
  if (runs) status.started_at = started_at;
  const bool is_current = endpoint != nullptr && endpoint->incarnation == core.incarnation();
  if (runs && is_current) status.port = endpoint->port;
  status.is_healthy = serves && !core.watch().holds_requests();
  status.failures = core.failures();
  status.last_failure = core.last_failure();
  status.unload_at = core.unload_at();
  return status;
}

void log_crash(const std::string& model, const scheduling::model_lifecycle& core,
               scheduling::exit_reason reason, const runtime_exited& end) {
  const auto& lines = end.log_tail;
  spdlog::error("model {}: runtime {} {}: {} ({} failures in a row)", model, core.incarnation(),
                to_string(reason), end.detail, core.failures());
  if (!end.cure.empty()) spdlog::warn("model {}: what may help: {}", model, end.cure);
  for (auto i = lines.size() - std::min(lines.size(), logged_lines); i < lines.size(); ++i) {
    spdlog::warn("model {}: | {}", model, lines[i]);
  }
}

std::string why_hung(const scheduling::model_lifecycle& core, const std::string& last_check) {
  const auto what =
      core.watch().awaits_verdict()
          ? fmt::format("{} deadlines passed in a row without a byte", core.watch().deadlines())
          : std::string("connections were refused for long");
  return fmt::format("{}, and {}", what, last_check);
}

std::string with_cure(const char* end, const std::string& cure) {
  return cure.empty() ? std::string() : std::string(end) + " What may help: " + cure;
}

std::string refusal_detail(const scheduling::model_lifecycle& core, refusal why,
                           const std::string& cure) {
  if (why == refusal::does_not_fit) return {};
  const auto reason = core.last_failure().value_or(scheduling::exit_reason::crashed);
  return fmt::format("Failures of its runtime in a row: {}; reason of the last one: {}.{}",
                     core.failures(), to_string(reason), with_cure("", cure));
}

order_report report_of_start(const scheduling::model_lifecycle& core, const std::string& failure) {
  switch (core.ordered()) {
    case start_order::failed:
      return {order_end::failed, failure};
    case start_order::no_room:
      return {order_end::no_room,
              "No GPU memory came free for the model in time (its start_timeout_s). Stop one that "
              "holds some, as GET /admin/models tells, and start this one again."};
    case start_order::overruled:
      return {order_end::overruled, "The model was stopped before it was ready."};
    case start_order::none:
    case start_order::going_on:
    case start_order::done:
      break;
  }
  return {order_end::done, {}};
}

}  // namespace signalbox
