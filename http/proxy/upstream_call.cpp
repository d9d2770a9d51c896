#include "http/proxy/upstream_call.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "text/append.hpp"
#include "text/json_text.hpp"

namespace signalbox::http {

namespace {

// On a local network; a host that is down does not refuse, it says nothing.
constexpr auto connect_timeout = std::chrono::seconds(5);

// A kept-alive connection that closes this soon after a request was sent had probably been closed
// before. Later it may be the request's doing: nobody else shall die of it.
constexpr auto stale_close = std::chrono::seconds(1);

// The queue refuses at a ticket's deadline; the shard does so itself this much later.
constexpr auto queue_answer_slack = std::chrono::seconds(2);

bool may_ask_for_usage(const config::model_options& model, const backend_endpoint& endpoint) {
  return model.usage_in_streams == config::usage_wish::always ||
         (model.usage_in_streams == config::usage_wish::automatic &&
          !endpoint.link->refuses_usage());
}

// Whether a request without a body says so (RFC 9110 8.6).
bool expects_body(std::string_view method) {
  return method == "POST" || method == "PUT" || method == "PATCH";
}

std::string refusal_text(const signalbox::ticket_refused& why, const std::string& model) {
  switch (why.why) {
    case refusal::queue_full:
      return "The queue of model '" + model + "' is full, please try again later.";
    case refusal::deadline_passed:
      return "The request waited for model '" + model + "' as long as it was allowed to.";
    case refusal::shutting_down:
      return "The gateway is shutting down.";
    case refusal::does_not_fit:
      return "Model '" + model + "' needs more GPU memory than the machine has.";
    case refusal::model_removed:
      return "Model '" + model + "' was removed from the configuration.";
    case refusal::model_failed:
      break;
  }
  return "Model '" + model + "' is not available." + (why.detail.empty() ? "" : " " + why.detail);
}

}  // namespace

upstream_call::upstream_call(call_home& home, call_request request, call_listener& listener)
    : home_(home), request_(std::move(request)), listener_(listener), arrived_at_(home.now()) {
  if (request_.facts.asks_several) events_.expect_several();
}

admission_request upstream_call::admission() const {
  return {request_.model->index,          request_.work,        request_.level,
          request_.who->number,           request_.who->weight, request_.charge.estimate,
          request_.max_wait_s.has_value()};
}

void upstream_call::start() {
  if (auto taken = home_.gate().take(admission(), arrived_at_)) {
    return begin_sending(std::move(*taken), arrived_at_);
  }
  wait_for_permit();
}

void upstream_call::ask_turn_end() {
  if (std::exchange(turn_end_asked_, true)) return;
  home_.at_turn_end(std::shared_ptr<upstream_call>(listener_.shared_from_this(), this));
}

void upstream_call::turn_ended(time_point now) {
  turn_end_asked_ = false;
  switch (phase_) {
    case phase::sending:
      if (!upstream_) send(false, now);
      break;
    case phase::ending:
      hand_over();
      break;
    case phase::waiting:
    case phase::relaying:
      if (events_.saw_done()) charge_answer();
      listener_.call_turn_ended();
      break;
    default:
      break;
  }
}

// Returns until when the call may wait in the queue.
time_point upstream_call::begin_waiting() {
  phase_ = phase::waiting;
  double patience_s = options().queue_timeout_s;
  if (request_.max_wait_s) patience_s = std::min(patience_s, *request_.max_wait_s);
  const auto give_up_at = arrived_at_ + preempted_ + from_seconds(patience_s);
  deadline_ = give_up_at + queue_answer_slack;
  return give_up_at;
}

void upstream_call::wait_for_permit() {
  const auto give_up_at = begin_waiting();
  ticket_ = home_.gate().wait(admission(), give_up_at, *this);
}

void upstream_call::ticket_granted(permit p) {
  ticket_ = 0;
  begin_sending(std::move(p), home_.now());
}

void upstream_call::ticket_refused(const signalbox::ticket_refused& why) {
  ticket_ = 0;
  fail(code_of(why.why), refusal_text(why, options().name), outcome::failed, why.retry_after_s);
}

void upstream_call::ticket_placed(std::uint32_t position, double eta_s) {
  if (phase_ == phase::waiting) listener_.call_placed(position, eta_s);
}

void upstream_call::ask_place() {
  if (phase_ == phase::waiting) home_.gate().ask_place(request_.model->index, ticket_);
}

duration upstream_call::queue_wait(time_point now) const {
  return (permitted_at_ == time_point{} ? now : permitted_at_) - arrived_at_ - preempted_;
}

void upstream_call::begin_sending(permit p, time_point at) {
  permit_ = std::move(p);
  auto& meters = *request_.model->meters;
  meters.in_flight(1);
  if (!std::exchange(had_permit_, true)) meters.queue_waited(at - arrived_at_);
  permitted_at_ = at;
  phase_ = phase::sending;
  deadline_ = never;
  const auto& keep_alive = request_.facts.keep_alive;
  if (keep_alive) home_.gate().keep_loaded(request_.model->index, *keep_alive);
  if (request_.only_loads) {
    phase_ = phase::ending;
    head_.status = 200;
  }
  ask_turn_end();
}

// The time with this permit is over.
void upstream_call::end_run(time_point at) {
  held_ += at - permitted_at_;
  request_.model->meters->in_flight(-1);
  upstream_head_.clear();  // names the endpoint; the next run has another
}

// The runtime died, it seems, and its queue does not know yet. Nothing of this request was ever
// sent (it could be what kills runtimes), so it waits where it stood, from the next tick on.
void upstream_call::park() {
  phase_ = phase::parked;
  deadline_ = never;
  sent_at_ = {};
}

// Gives the permit up.
void upstream_call::wait_again(time_point at) {
  end_run(at);
  permitted_at_ = sent_at_ = {};  // the prompt was read for nothing: that is not charged
  const auto give_up_at = begin_waiting();
  ticket_ = home_.gate().wait_again(std::move(permit_), admission(), give_up_at, *this);
}

bool upstream_call::preempt() {
  if (phase_ != phase::sending && phase_ != phase::collecting) return false;
  drop_upstream();
  const auto at = home_.now();
  preempted_ += at - permitted_at_;
  text_.clear();
  head_.clear();
  answer_bytes_ = 0;
  wait_again(at);
  return true;
}

void upstream_call::send(bool fresh, time_point now) {
  if (!delivered_ && permit_.endpoint()->link->is_suspect(now)) return park();
  if (upstream_head_.empty()) build_head();
  sent_at_ = now;
  deadline_ = answer_deadline(now, options().first_byte_timeout_s);
  const auto body = apply_edits(request_.body, edits_);
  gathered_pieces pieces{upstream_head_};
  std::copy(body.begin(), body.end(), pieces.begin() + 1);
  const bool may_switch = !request_.upgrade.empty();
  upstream_ = home_.pool().take(permit_.endpoint(), fresh || may_switch);
  if (may_switch) upstream_->expect_upgrade();
  upstream_->send(pieces, *this);
}

void upstream_call::build_head() {
  const auto& endpoint = *permit_.endpoint();
  const auto& facts = request_.facts;
  edits_.clear();
  asks_for_usage_ =
      !is_asked_again_ && !facts.usage_edit.empty() && may_ask_for_usage(options(), endpoint);
  if (asks_for_usage_) edits_ = facts.usage_edit;
  if (facts.model != endpoint.upstream_model && facts.model_length > 0) {
    edits_.push_back(
        {facts.model_offset, facts.model_length,
         facts.model_is_json ? json_quoted(endpoint.upstream_model) : endpoint.upstream_model});
    std::sort(edits_.begin(), edits_.end(),
              [](const auto& a, const auto& b) { return a.offset < b.offset; });
  }
  std::size_t length = request_.body.size();
  for (const auto& edit : edits_) length = length - edit.length + edit.text.size();
  upstream_head_.reserve(256 + request_.forwarded_headers.size() + endpoint.path.size() +
                         endpoint.api_key.size());
  append(upstream_head_, request_.method, " ", endpoint.path, request_.path,
         " HTTP/1.1\r\nHost: ", endpoint.host, ":", std::to_string(endpoint.port), "\r\n",
         request_.forwarded_headers, "X-Request-Id: ", request_.request_id);
  if (!endpoint.api_key.empty()) {
    append(upstream_head_, "\r\nAuthorization: Bearer ", endpoint.api_key);
  }
  if (!request_.upgrade.empty()) {
    append(upstream_head_, "\r\nConnection: Upgrade\r\nUpgrade: ", request_.upgrade);
  }
  if (length > 0 || expects_body(request_.method)) {
    append(upstream_head_, "\r\nContent-Length: ", std::to_string(length));
  }
  upstream_head_.append("\r\n\r\n");
}

// `gap_s` after now, but not after the end of what the whole request may take.
time_point upstream_call::answer_deadline(time_point now, double gap_s) const {
  return std::min(permitted_at_ + from_seconds(options().request_timeout_s),
                  now + from_seconds(gap_s));
}

void upstream_call::pause() {
  if (upstream_) upstream_->pause();
}

void upstream_call::resume() {
  if (upstream_) upstream_->resume();
}

std::shared_ptr<const void> upstream_call::give_up_text() {
  struct request_text {
    std::string head;
    std::vector<body_edit> edits;
    std::shared_ptr<const void> body;
  };
  return std::make_shared<request_text>(
      request_text{std::exchange(upstream_head_, {}), std::exchange(edits_, {}), request_.owner});
}

void upstream_call::upstream_ended(upstream_end how) {
  const bool reused = upstream_ && upstream_->was_reused();
  upstream_ = nullptr;
  const bool is_unsent = how == upstream_end::connect_failed || how == upstream_end::refused;
  delivered_ = delivered_ || !is_unsent;
  if (is_whole(how)) {
    // What a connection that broke has left is no event.
    const bool is_cut = how != upstream_end::complete && how != upstream_end::complete_at_eof;
    if (is_cut) events_.drop_unfinished();
    return begin_ending();
  }
  // A kept-alive connection that the runtime closed meanwhile: nothing was answered, send it again.
  if (how == upstream_end::closed_unused && reused && home_.now() < sent_at_ + stale_close) {
    return send(true, home_.now());
  }
  broken(how);
}

void upstream_call::broken(upstream_end how) {
  permit_.endpoint()->link->suspect(home_.now());
  // That a connection takes long, or that we have no descriptor for one, says nothing of the
  // runtime.
  if (how == upstream_end::refused) permit_.refused();
  if (!delivered_) return park();
  fail(error_code::upstream_failed,
       how == upstream_end::not_http ? "The runtime's answer was not HTTP."
       : how == upstream_end::connect_failed || how == upstream_end::refused
           ? "The runtime of model '" + options().name + "' cannot be reached."
           : "The runtime closed the connection before its answer was complete.",
       outcome::failed);
}

void upstream_call::drop_upstream() {
  if (auto connection = std::exchange(upstream_, nullptr)) connection->abandon();
  drop_tunnel();
  if (ticket_ != 0) home_.gate().leave(request_.model->index, std::exchange(ticket_, 0));
}

void upstream_call::tick(time_point at) {
  if (phase_ == phase::done) return;
  if (phase_ == phase::parked) return wait_again(at);
  if (phase_ == phase::tunnelling) return tick_tunnel(at);
  if (phase_ == phase::sending && upstream_ && at >= sent_at_ + connect_timeout) {
    upstream_->give_up_connecting();
    if (phase_ != phase::sending) return;
  }
  // The listener is slow: that the runtime is silent meanwhile is our doing.
  if (phase_ == phase::relaying && upstream_ && upstream_->paused()) {
    deadline_ = answer_deadline(at, options().stream_idle_timeout_s);
  }
  if (events_.release(text_)) ask_turn_end();
  const bool costs = phase_ == phase::relaying && passes_bytes_ && head_.status < 400;
  if (costs && !charge_bytes(answer_bytes_, at)) {
    return fail(error_code::rate_limited, {}, outcome::cancelled);
  }
  if (at < deadline_) return;
  if (phase_ == phase::relaying && events_.saw_done()) {
    drop_upstream();
    return begin_ending();
  }
  if (phase_ == phase::waiting) {
    return fail(error_code::queue_timeout, "The queue did not answer in time.", outcome::timed_out,
                1);
  }
  // A runtime whose answer is not taken is not to blame.
  const bool is_slow_client = upstream_ && upstream_->paused();
  fail(error_code::upstream_timeout,
       "The runtime of model '" + options().name + "' did not answer in time.",
       is_slow_client ? outcome::cancelled : outcome::timed_out);
}

}  // namespace signalbox::http
