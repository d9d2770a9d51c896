// The end of a call: what its listener is told, what its key is charged, and what is counted.
#include <algorithm>
#include <chrono>
#include <utility>

#include "http/proxy/upstream_call.hpp"

namespace signalbox::http {

namespace {

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

}  // namespace

void upstream_call::cancel() {
  if (phase_ == phase::done) return;
  drop_upstream();
  constexpr int client_closed_request = 499;  // nginx's number for it
  finish(outcome::cancelled, client_closed_request);
}

void upstream_call::cut_off() {
  fail(error_code::shutting_down, "The gateway is shutting down.", outcome::cancelled);
}

void upstream_call::fail(error_code code, std::string_view message, outcome how,
                         double retry_after_s) {
  if (phase_ == phase::done) return;
  drop_upstream();
  if (!is_stream_) text_.clear();
  phase_ = phase::done;
  listener_.call_failed(code, message, retry_after_s);
  finish(how, words(code).status);
}

void upstream_call::finish(outcome how, int status) {
  const auto me = listener_.shared_from_this();  // call_ended() may drop the last other reference
  phase_ = phase::done;
  const auto end = home_.now();
  if (permit_) end_run(end);
  const auto usage = usage_of(how, status, end);
  settle(how, usage, end);
  auto& meters = *request_.model->meters;
  meters.request_ended(request_.route, status);
  meters.tokens(usage.prompt_tokens, usage.completion_tokens);
  home_.account(request_.who, request_.model, source_of(request_.work), request_.client_id, usage);
  const auto took = end - arrived_at_;
  listener_.call_ended({how, status, took, took - held_, usage});
}

// Ends the permit and the charge of the key's limits with what was used.
void upstream_call::settle(outcome how, const usage_counts& usage, time_point end) {
  // A listener that leaves before the first token has had the prompt read all the same.
  const bool left_early =
      how == outcome::cancelled && usage.prompt_tokens == 0 && sent_at_ != time_point{};
  const auto prompt =
      left_early ? static_cast<std::uint64_t>(request_.charge.estimate) : usage.prompt_tokens;
  permit_.used(prompt, usage.completion_tokens);
  permit_.settle(how);
  const auto& who = *request_.who;
  who.account->limits.end_inference(who.limits, request_.charge,
                                    static_cast<double>(prompt + usage.completion_tokens), end);
}

usage_counts upstream_call::usage_of(outcome how, int status, time_point end) const {
  usage_counts counts;
  counts.requests = 1;
  counts.cancelled = how == outcome::cancelled;
  counts.successes = counts.cancelled == 0 && status < 400;
  counts.errors = counts.cancelled == 0 && status >= 400;
  counts.last_status = counts.successes != 0 ? usage_status::success
                       : counts.errors != 0  ? usage_status::error
                                             : usage_status::cancelled;
  counts.gpu_us = to_us(held_) * request_.model->gpus;
  counts.queue_us = to_us(end - arrived_at_ - held_);
  if (const auto& usage = events_.usage()) {
    counts.prompt_tokens = usage->prompt;
    counts.completion_tokens = usage->completion;
  } else if (permitted_at_ != time_point{} && (counts.successes || events_.tokens_seen() > 0)) {
    // No usage was told, or not yet: one token to a chunk.
    counts.prompt_tokens = request_.body.size() / json_bytes_of_token;
    counts.completion_tokens = events_.tokens_seen() + whole_tokens_;
    counts.estimated = 1;
  }
  return counts;
}

}  // namespace signalbox::http
