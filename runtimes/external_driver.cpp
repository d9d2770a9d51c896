#include "runtimes/external_driver.hpp"

#include <fmt/format.h>

#include "config/address.hpp"

namespace signalbox::runtimes {
namespace {

using namespace std::chrono_literals;
using scheduling::exit_reason;

constexpr duration gap_while_down = 50ms;
constexpr duration gap_while_up = 2s;
constexpr duration probe_timeout = 10s;
constexpr std::uint32_t failures_allowed = 2;

time_point now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

external_run::external_run(boost::asio::io_context& io, const config::model_options& model,
                           run_request request, event_callback on_event)
    : run(io, model, request, std::move(on_event)), timer_(io) {}

void external_run::begin() {
  const auto endpoint = config::parse_endpoint(model_.endpoint);
  if (!endpoint) {
    return end(exit_reason::start_failed, "the endpoint is not of the form http://host:port");
  }
  host_ = endpoint->host;
  port_ = endpoint->port;
  give_up_at_ = now() + request_.start_timeout;
  probe();
}

void external_run::probe() {
  if (exited()) return;
  const auto timeout =
      ready() ? probe_timeout : std::clamp<duration>(give_up_at_ - now(), 1ms, probe_timeout);
  probe_http(io_, host_, port_, model_.health_path, timeout,
             [self = self_as<external_run>()](probe_outcome outcome) { self->probed(outcome); });
}

// Once it is ready only a refused or broken connection counts against it: a full server may be slow
// to say how it is, or say that it is busy, and is not dead.
void external_run::probed(probe_outcome outcome) {
  if (exited()) return;
  failures_ = outcome == probe_outcome::failed ? failures_ + 1 : 0;
  if (outcome == probe_outcome::ok) tell_ready(host_, port_);
  if (ready() && failures_ > failures_allowed) {
    return end(exit_reason::crashed, "endpoint went away");
  }
  if (!ready() && now() >= give_up_at_) {
    const auto seconds = std::chrono::duration<double>(request_.start_timeout).count();
    return end(exit_reason::start_timeout, fmt::format("not ready in {:g} s", seconds));
  }
  timer_.expires_after(ready() ? gap_while_up : gap_while_down);
  timer_.async_wait([self = self_as<external_run>()](const auto& error) {
    if (!error) self->probe();
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
