#include "http/proxy/exchange.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "http/serve/gateway_state.hpp"
#include "text/ascii.hpp"
#include "text/json_text.hpp"

namespace signalbox::http {

namespace {

// About, as JSON has them; for runtimes that tell no usage.
constexpr std::size_t json_bytes_of_token = 4;

// After that many refused connections in a row the runtime is not coming back soon enough.
constexpr int max_retries = 3;

// On a local network; a host that is down does not refuse, it says nothing.
constexpr auto connect_timeout = std::chrono::seconds(5);

// A kept-alive connection that closes this soon after a request was sent had probably been closed
// before. Later it may be the request's doing: nobody else shall die of it.
constexpr auto stale_close = std::chrono::seconds(1);

// The queue refuses at a ticket's deadline; the shard does so itself this much later.
constexpr auto queue_answer_slack = std::chrono::seconds(2);

duration seconds(double s) {
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>(s));
}

std::uint64_t to_us(duration d) {
  const auto us = std::chrono::duration_cast<std::chrono::microseconds>(d).count();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(us, 0));
}

usage_source source_of(work_class work) {
  switch (work) {
    case work_class::batch:
      return usage_source::batch;
    case work_class::eval:
      return usage_source::eval;
    default:
      return usage_source::realtime;
  }
}

time_point now() {
  return std::chrono::steady_clock::now();
}

bool is_event_stream(const upstream_head& head) {
  constexpr std::string_view wanted = "text/event-stream";
  bool found = false;
  head.for_each_field([&](std::string_view name, std::string_view value) {
    if (!equals_ignoring_case(name, "content-type")) return;
    found = equals_ignoring_case(value.substr(0, wanted.size()), wanted);
  });
  return found;
}

}  // namespace

exchange::exchange(shard& home, inference_request request)
    : home_(home),
      request_(std::move(request)),
      arrived_at_(now()),
      events_(request_.facts.usage_wanted) {}

const config::model_options& exchange::options() const {
  return home_.gateway().model(request_.model);
}

admission_request exchange::admission() const {
  return {request_.model,       request_.work,        request_.level,
          request_.who->number, request_.who->weight, request_.charge.estimate};
}

void exchange::start() {
  if (auto taken = home_.gate().take(admission(), arrived_at_)) {
    return begin_sending(std::move(*taken), arrived_at_);
  }
  wait_for_permit();
}

void exchange::ask_turn_end() {
  if (!std::exchange(turn_end_asked_, true)) home_.at_turn_end(shared_from_this());
}

void exchange::turn_ended(time_point now) {
  turn_end_asked_ = false;
  switch (phase_) {
    case phase::sending:
      if (!upstream_) send_upstream(false, now);
      break;
    case phase::ending:
      answer_client();
      break;
    case phase::waiting:
    case phase::relaying:
      write_stream();
      break;
    default:
      break;
  }
}

void exchange::wait_for_permit() {
  phase_ = phase::waiting;
  double patience_s = options().queue_timeout_s;
  if (request_.max_wait_s) patience_s = std::min(patience_s, *request_.max_wait_s);
  const auto give_up_at = arrived_at_ + seconds(patience_s);
  deadline_ = give_up_at + queue_answer_slack;
  ticket_ = home_.gate().wait(admission(), give_up_at, *this);
}

void exchange::ticket_granted(permit p) {
  ticket_ = 0;
  begin_sending(std::move(p), now());
}

void exchange::begin_sending(permit p, time_point at) {
  permit_ = std::move(p);
  permitted_at_ = at;
  auto& meters = home_.gateway().meters();
  meters.in_flight(request_.model, 1);
  if (retries_ == 0) meters.queue_waited(request_.model, permitted_at_ - arrived_at_);
  phase_ = phase::sending;
  deadline_ = never;
  ask_turn_end();
}

void exchange::ticket_refused(const signalbox::ticket_refused& why) {
  ticket_ = 0;
  const auto code = code_of(why.why);
  std::string message;
  switch (code) {
    case error_code::queue_full:
      message = "The queue of model '" + options().name + "' is full, please try again later.";
      break;
    case error_code::queue_timeout:
      message =
          "The request waited for model '" + options().name + "' as long as it was allowed to.";
      break;
    case error_code::shutting_down:
      message = "The gateway is shutting down.";
      break;
    case error_code::model_does_not_fit:
      message = "Model '" + options().name + "' needs more GPU memory than there is.";
      break;
    default:
      message = "Model '" + options().name + "' does not start.";
      if (!why.detail.empty()) message += " " + why.detail;
  }
  fail(code, message, outcome::failed, why.retry_after_s);
}

// The runtime died, it seems, and its queue does not know yet. Nothing of this request was ever
// sent (it could be what kills runtimes), so it waits for a permit again at the next tick.
void exchange::park(outcome how) {
  ++retries_;
  held_ += now() - permitted_at_;
  permit_.settle(how);
  home_.gateway().meters().in_flight(request_.model, -1);
  upstream_head_.clear();  // names the endpoint; the next run has another
  phase_ = phase::parked;
  deadline_ = never;
}

bool exchange::may_park() const {
  return retries_ < max_retries && !delivered_ && !stream_;
}

void exchange::send_upstream(bool fresh, time_point now) {
  if (home_.pool().is_suspect(permit_.endpoint(), now) && may_park()) {
    return park(outcome::cancelled);
  }
  if (upstream_head_.empty()) build_upstream_head();
  sent_at_ = now;
  deadline_ = std::min(permitted_at_ + seconds(options().request_timeout_s),
                       now + seconds(options().first_byte_timeout_s));
  const auto body = apply_edits(request_.client->body(), edits_);
  gathered_pieces pieces{upstream_head_};
  std::copy(body.begin(), body.end(), pieces.begin() + 1);
  upstream_ = home_.pool().take(permit_.endpoint(), fresh);
  upstream_->send(pieces, *this);
}

void exchange::build_upstream_head() {
  const auto& endpoint = *permit_.endpoint();
  const auto& facts = request_.facts;
  edits_ = facts.usage_edit;
  if (facts.model != endpoint.upstream_model) {
    edits_.push_back(
        {facts.model_offset, facts.model_length, json_quoted(endpoint.upstream_model)});
    std::sort(edits_.begin(), edits_.end(),
              [](const auto& a, const auto& b) { return a.offset < b.offset; });
  }
  std::size_t length = request_.client->body().size();
  for (const auto& edit : edits_) length = length - edit.length + edit.text.size();
  upstream_head_.reserve(256 + request_.forwarded_headers.size());
  upstream_head_.append("POST ")
      .append(path_of(request_.client))
      .append(" HTTP/1.1\r\nHost: ")
      .append(endpoint.host)
      .append(":")
      .append(std::to_string(endpoint.port))
      .append("\r\n")
      .append(request_.forwarded_headers)
      .append("X-Request-Id: ")
      .append(request_.request_id)
      .append("\r\nContent-Length: ")
      .append(std::to_string(length))
      .append("\r\n\r\n");
}

void exchange::upstream_headers(upstream_head& head) {
  std::swap(head_, head);
  if (head_.status == 200 && is_event_stream(head_)) {
    phase_ = phase::relaying;
    deadline_ = now() + seconds(options().stream_idle_timeout_s);
    if (!stream_) start_stream();
  } else {
    phase_ = phase::collecting;
    deadline_ = permitted_at_ + seconds(options().request_timeout_s);
  }
}

void exchange::upstream_body(std::string_view bytes) {
  if (phase_ == phase::collecting) {
    if (body_.size() + bytes.size() > home_.gateway().settings().server.response_limit) {
      return fail(error_code::upstream_too_large, "The runtime's answer is too large.",
                  outcome::failed);
    }
    body_.append(bytes);
    return;
  }
  if (phase_ != phase::relaying) return;
  const auto at = now();
  if (!first_byte_seen_) {
    first_byte_seen_ = true;
    home_.gateway().meters().first_token(request_.model, at - arrived_at_);
  }
  deadline_ = std::min(permitted_at_ + seconds(options().request_timeout_s),
                       at + seconds(options().stream_idle_timeout_s));
  events_.feed(bytes, unsent_);
  hold_back();
  if (!unsent_.empty()) ask_turn_end();
}

void exchange::upstream_ended(upstream_end how) {
  const auto me = shared_from_this();
  const bool reused = upstream_ && upstream_->was_reused();
  upstream_ = nullptr;
  delivered_ = delivered_ || how != upstream_end::connect_failed;
  if (how == upstream_end::complete) return complete();
  // A stream without a length that ends early looks whole but for its last event.
  if (how == upstream_end::complete_at_eof && (phase_ != phase::relaying || events_.saw_done())) {
    return complete();
  }
  // A kept-alive connection that the runtime closed meanwhile: nothing was answered, send it again.
  if (how == upstream_end::closed_unused && reused && now() < sent_at_ + stale_close) {
    return send_upstream(true, now());
  }
  home_.pool().suspect(permit_.endpoint(), now());
  if (how == upstream_end::connect_failed && may_park()) return park(outcome::failed);
  fail(error_code::upstream_failed,
       how == upstream_end::not_http ? "The runtime's answer was not HTTP."
       : how == upstream_end::connect_failed
           ? "The runtime of model '" + options().name + "' cannot be reached."
           : "The runtime closed the connection before its answer was complete.",
       outcome::failed);
}

void exchange::complete() {
  if (phase_ == phase::relaying) {
    events_.finish(unsent_);
  } else if (head_.status == 200) {
    events_.set_usage(read_usage(body_));
    if (request_.estimate_from_length) whole_tokens_ = body_.size() / json_bytes_of_token;
  }
  phase_ = phase::ending;
  ask_turn_end();
}

void exchange::client_gone() {
  if (phase_ == phase::done) return;
  drop_upstream();
  constexpr int client_closed_request = 499;  // nginx's number for it
  finish(outcome::cancelled, client_closed_request);
}

void exchange::cut_off() {
  fail(error_code::shutting_down, "The gateway is shutting down.", outcome::cancelled);
}

void exchange::drop_upstream() {
  if (auto connection = std::exchange(upstream_, nullptr)) connection->abandon();
  if (ticket_ != 0) home_.gate().leave(request_.model, std::exchange(ticket_, 0));
}

void exchange::tick(time_point at) {
  if (phase_ == phase::done) return;
  if (phase_ == phase::parked) return wait_for_permit();
  if (phase_ == phase::sending && upstream_ && at >= sent_at_ + connect_timeout) {
    upstream_->give_up_connecting();
    if (phase_ != phase::sending) return;
  }
  // The client reads slowly: that the runtime is silent meanwhile is our doing.
  if (phase_ == phase::relaying && upstream_ && upstream_->paused()) {
    deadline_ = std::min(permitted_at_ + seconds(options().request_timeout_s),
                         at + seconds(options().stream_idle_timeout_s));
  }
  if (at >= deadline_) {
    if (phase_ == phase::waiting) {
      return fail(error_code::queue_timeout, "The queue did not answer in time.",
                  outcome::timed_out, 1);
    }
    return fail(error_code::upstream_timeout, "The runtime did not answer in time.",
                outcome::timed_out);
  }
  if (phase_ != phase::waiting || !request_.facts.stream) return;
  const auto& server = home_.gateway().settings().server;
  const auto due = last_comment_ == time_point{}
                       ? arrived_at_ + seconds(server.stream_comment_grace_s)
                       : last_comment_ + seconds(server.stream_comment_interval_s);
  if (at < due) return;
  last_comment_ = at;
  home_.gate().ask_place(request_.model, ticket_);
}

void exchange::finish(outcome how, int status) {
  const auto me = shared_from_this();  // ended() drops the shard's reference
  phase_ = phase::done;
  auto& meters = home_.gateway().meters();
  const auto end = now();
  if (permit_) {
    held_ += end - permitted_at_;
    meters.in_flight(request_.model, -1);
  }
  const auto usage = usage_of(how, status, end);
  // Who leaves before the first token has had the prompt read all the same.
  const bool left_early =
      how == outcome::cancelled && usage.prompt_tokens == 0 && sent_at_ != time_point{};
  const auto prompt =
      left_early ? static_cast<std::uint64_t>(request_.charge.estimate) : usage.prompt_tokens;
  permit_.used(prompt, usage.completion_tokens);
  permit_.settle(how);
  const auto& who = *request_.who;
  who.account->limits.end_inference(who.limits, request_.charge,
                                    static_cast<double>(prompt + usage.completion_tokens), end);
  if (who.limits.tokens_per_minute > 0) home_.note_use(request_.who);
  meters.request_ended(request_.model, request_.route, status);
  meters.tokens(request_.model, usage.prompt_tokens, usage.completion_tokens);
  write_log(how, status, usage, end);
  home_.account(request_.who, request_.model, source_of(request_.work), request_.client_id, usage);
  home_.ended(request_.connection, *this);
}

usage_counts exchange::usage_of(outcome how, int status, time_point end) const {
  usage_counts counts;
  counts.requests = 1;
  counts.cancelled = how == outcome::cancelled;
  counts.successes = counts.cancelled == 0 && status < 400;
  counts.errors = counts.cancelled == 0 && status >= 400;
  counts.last_status = counts.successes != 0 ? usage_status::success
                       : counts.errors != 0  ? usage_status::error
                                             : usage_status::cancelled;
  counts.gpu_us = to_us(held_) * home_.gateway().gpus_of(request_.model);
  counts.queue_us = to_us(end - arrived_at_ - held_);
  if (const auto& usage = events_.usage()) {
    counts.prompt_tokens = usage->prompt;
    counts.completion_tokens = usage->completion;
  } else if (permitted_at_ != time_point{} && (counts.successes || events_.tokens_seen() > 0)) {
    // No usage was told, or not yet: one token to a chunk.
    counts.prompt_tokens = request_.client->body().size() / json_bytes_of_token;
    counts.completion_tokens = events_.tokens_seen() + whole_tokens_;
    counts.estimated = 1;
  }
  return counts;
}

}  // namespace signalbox::http
