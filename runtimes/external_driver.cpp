#include "runtimes/external_driver.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <utility>

#include "config/address.hpp"
#include "runtimes/exit_report.hpp"

namespace signalbox::runtimes {
namespace {

using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;
using scheduling::exit_reason;

constexpr duration gap_while_down = 50ms;
constexpr duration gap_while_up = 2s;
constexpr duration gap_while_failing = 200ms;
constexpr duration remote_probe_timeout = 10s;
constexpr duration check_timeout = 5s;
constexpr std::uint32_t failures_allowed = 2;
constexpr duration unreachable_after = 1s;  // of failures, while it is not ready

}  // namespace

external_run::external_run(boost::asio::io_context& io, const config::model_options& model,
                           run_request request, event_callback on_event, name_lookup lookup)
    : run(io, model, std::move(request), std::move(on_event)),
      lookup_(std::move(lookup)),
      timer_(io) {}

void external_run::begin() {
  const auto endpoint = config::parse_endpoint(model_.endpoint);
  if (!endpoint) {
    return end(exit_reason::start_failed, "the endpoint is not of the form http://host:port");
  }
  path_ = endpoint->path;
  target_ = {.host = endpoint->host,
             .port = endpoint->port,
             .path = path_ + model_.health_path,
             .api_key = model_.api_key};
  if (endpoint->is_tls) {
    try {
      target_.trust = config::make_trust(model_.tls_ca);
    } catch (const std::runtime_error& e) {
      return end(exit_reason::start_failed, e.what());
    }
  }
  give_up_at_ = clock::now() + request_.start_timeout;
  probe();
}

void external_run::probe() {
  if (exited()) return;
  is_probing_ = true;
  const auto timeout =
      is_check_due_ ? check_timeout
      : ready()     ? remote_probe_timeout
                    : std::clamp<duration>(give_up_at_ - clock::now(), 1ms, remote_probe_timeout);
  probe_http(
      io_, target_, timeout,
      [self = self_as<external_run>(), timeout](const probe_result& result) {
        self->is_probing_ = false;
        self->probed(result, timeout);
      },
      lookup_);
}

void external_run::check() {
  if (exited() || !ready()) return;
  is_check_due_ = true;
  if (is_probing_) return;
  timer_.cancel();
  probe();
}

std::string external_run::explain(const probe_result& result, duration timeout) const {
  return explain_probe("GET " + model_.endpoint + model_.health_path, result, timeout);
}

// Tells once that nothing answers, while it is not ready.
void external_run::tell_if_unreachable(const probe_result& result, duration timeout) {
  if (failures_ == 0 || clock::now() - failing_since_ < unreachable_after) return;
  if (!std::exchange(is_unreachable_told_, true)) tell_checked(false, explain(result, timeout));
}

duration external_run::next_gap() const {
  if (!ready()) return gap_while_down;
  return failures_ > 0 ? gap_while_failing : gap_while_up;
}

// Requests now go to the address that answered, so that address is the one to watch.
void external_run::became_ready(const std::string& address) {
  target_.address = address;
  const bool v6 = target_.host.find(':') != std::string::npos;
  tell_ready({0, v6 ? "[" + target_.host + "]" : target_.host, address, target_.port, path_,
              target_.trust});
}

// Each probe looks the name up anew. From now on requests go where the last one was answered.
void external_run::moved(const std::string& address) {
  spdlog::info("model {}: {} answers at {} instead of {}", model_.name, target_.host, address,
               target_.address);
  target_.address = address;
  request_.link->move_to(address);
}

// Once the runtime is ready, only a refused or broken connection counts as a failure: a busy server
// may answer slowly, or say that it is busy, and is not dead.
void external_run::probed(const probe_result& result, duration timeout) {
  if (exited()) return;
  failures_ = result.outcome == probe_outcome::failed ? failures_ + 1 : 0;
  if (failures_ == 1) failing_since_ = clock::now();
  if (!ready()) tell_if_unreachable(result, timeout);
  if (std::exchange(is_check_due_, false)) {
    tell_checked(!is_bad_sign(result.outcome), explain(result, timeout));
  }
  if (std::exchange(why_not_, result.why) != result.why && !result.why.empty()) {
    spdlog::warn("model {}: {}{}: {}", model_.name, model_.endpoint, model_.health_path,
                 result.why);
  }
  if (result.outcome == probe_outcome::ok) {
    if (!ready()) {
      became_ready(result.address);
    } else if (result.address != target_.address) {
      moved(result.address);
    }
  }
  if (ready() && failures_ > failures_allowed) {
    return end(exit_reason::crashed, "endpoint went away: " + result.why);
  }
  if (!ready() && clock::now() >= give_up_at_) {
    const auto seconds = to_seconds(request_.start_timeout);
    return end(exit_reason::start_timeout,
               fmt::format("not ready in {:g} s: {}", seconds, explain(result, timeout)));
  }
  timer_.expires_after(next_gap());
  timer_.async_wait([self = self_as<external_run>()](const auto& error) {
    if (!error && !self->is_probing_) self->probe();
  });
}

void external_run::stop(duration) {
  end(exit_reason::asked, "left alone, as asked");
}

void external_run::end(exit_reason reason, const std::string& detail) {
  timer_.cancel();
  tell_exited(reason, detail);
  tell_released();
}

}  // namespace signalbox::runtimes
