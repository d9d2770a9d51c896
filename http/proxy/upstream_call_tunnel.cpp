// A call whose runtime has changed to another protocol, such as WebSocket. It holds its permit
// until one of both sides closes.
#include <chrono>
#include <string>
#include <utility>

#include "http/proxy/upstream_call.hpp"
#include "text/ascii.hpp"

namespace signalbox::http {

namespace {

// A key is looked up this often while its tunnel is open.
constexpr auto key_check_gap = std::chrono::seconds(1);
// A side that was told of the end of a WebSocket has this long to close its connection.
constexpr auto close_timeout = std::chrono::seconds(10);

}  // namespace

void upstream_call::upstream_switched(std::string_view rest) {
  const auto me = listener_.shared_from_this();
  auto connection = std::exchange(upstream_, nullptr);
  request_.facts.stream = true;
  deadline_ = home_.now() + from_seconds(options().stream_idle_timeout_s);
  std::string head;
  auto client = listener_.call_switched(head);
  tunnel_ = std::make_shared<tunnel>(std::move(client), std::move(connection),
                                     [this](tunnel::cause how) { tunnel_ended(how); });
  if (equals_ignoring_case(request_.upgrade, "websocket")) tunnel_->expect_websocket();
  tunnel_->start(std::move(head), rest);
}

// What comes from the runtime shows that it lives; what moves at all, that somebody uses it.
void upstream_call::tick_tunnel(time_point at) {
  if (!tunnel_) return;
  if (!is_still_allowed(at)) return fail(error_code::invalid_credential, {}, outcome::cancelled);
  if (tunnel_->is_over()) {
    if (close_by_ == never) close_by_ = at + close_timeout;
    if (at >= close_by_) return tunnel_ended(tunnel::cause::complete);
  }
  const auto heard = tunnel_->bytes_of_runtime(), bytes = heard + tunnel_->bytes_of_client();
  if (std::exchange(heard_bytes_, heard) != heard) permit_.heard();
  if (std::exchange(tunnel_bytes_, bytes) != bytes) {
    deadline_ = at + from_seconds(options().stream_idle_timeout_s);
    if (!charge_bytes(bytes, at)) return fail(error_code::rate_limited, {}, outcome::cancelled);
  }
  if (at < deadline_) return;
  fail(error_code::upstream_timeout, {}, outcome::timed_out);
}

// A tunnel may outlive the key that opened it.
bool upstream_call::is_still_allowed(time_point at) {
  if (at < next_key_check_) return true;
  next_key_check_ = at + key_check_gap;
  return home_.may_go_on(request_);
}

// Charges the key's limits of today with what went through since the last time: a tunnel may last
// for days, and an answer that is passed on as it comes for as long as its request may. Returns
// false when one of them is reached.
bool upstream_call::charge_bytes(std::uint64_t all, time_point at) {
  const auto& who = *request_.who;
  const auto tokens = static_cast<double>(all / json_bytes_of_token);
  const auto more = tokens - std::exchange(charged_tokens_, tokens);
  return !who.account->limits.charge_more(who.limits, home_.today().number, more, {}, at);
}

void upstream_call::tunnel_ended(tunnel::cause how) {
  switch (how) {
    case tunnel::cause::complete:
      drop_tunnel();
      return finish(outcome::completed, head_.status);
    case tunnel::cause::client_broke:
      return cancel();
    case tunnel::cause::runtime_broke:
      return fail(error_code::upstream_failed, {}, outcome::failed);
  }
}

// What went through it is what it cost.
void upstream_call::drop_tunnel() {
  const auto ended = std::exchange(tunnel_, nullptr);
  if (!ended) return;
  request_.facts.text_bytes += ended->bytes_of_client();
  answer_bytes_ += ended->bytes_of_runtime();
  charge_bytes(ended->bytes_of_client() + ended->bytes_of_runtime(), home_.now());
  ended->close();
}

}  // namespace signalbox::http
