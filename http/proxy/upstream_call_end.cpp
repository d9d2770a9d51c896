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
  const bool was_tunnel = phase_ == phase::tunnelling;
  drop_upstream();
  if (was_tunnel) return finish(how, words(code).status);  // nobody would understand an answer
  if (is_stream_) {
    events_.release(text_);
  } else {
    text_.clear();
  }
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
  permit_.used(usage.prompt_tokens, usage.completion_tokens);
  // A refusal takes less than an answer, and does not show that the runtime can give one.
  const bool is_refusal = how == outcome::completed && usage.successes == 0;
  if (!request_.reads_usage || request_.only_loads || is_refusal) permit_.is_unlike_others();
  // That a tunnel was silent tells nothing of its runtime: nobody waited for it.
  const bool is_sign = how != outcome::timed_out || head_.status != 101;
  permit_.settle(is_sign ? how : outcome::cancelled);
  end_charge(usage, end);
}

void upstream_call::end_charge(const usage_counts& usage, time_point end) {
  if (std::exchange(charge_ended_, true)) return;
  const auto& who = *request_.who;
  who.account->limits.end_inference(
      who.limits, request_.charge,
      static_cast<double>(usage.prompt_tokens + usage.completion_tokens) - charged_tokens_, end);
}

// Whoever has the answer may ask again at once, and another shard would let in what the answer has
// used up: so the key's limits know before it goes out.
void upstream_call::charge_answer() {
  if (charge_ended_) return;
  const auto end = home_.now();
  const int status = events_.error_status() != 0 ? events_.error_status() : head_.status;
  end_charge(usage_of(outcome::completed, status, end), end);
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
  add_tokens(how, counts);
  return counts;
}

// Adds what the runtime told, or what it may have been, so that no request is free of charge: not
// where the runtime tells nothing, nor where the client leaves before it does.
void upstream_call::add_tokens(outcome how, usage_counts& counts) const {
  if (!request_.reads_usage) return estimate_tokens(counts);
  const auto told = events_.usage();
  const auto seen = events_.tokens_seen();
  const bool is_left = how == outcome::cancelled || how == outcome::timed_out;
  if (!told.is_told() &&
      (sent_at_ == time_point{} || (counts.successes == 0 && !is_left && seen == 0))) {
    return;
  }
  // The last report of a stream that was cut off is too old.
  const bool is_short = told.completion ? is_left && seen > *told.completion : seen > 0;
  counts.prompt_tokens = told.prompt.value_or(request_.facts.text_bytes / json_bytes_of_token);
  counts.completion_tokens = is_short ? seen : told.completion.value_or(0);
  counts.cached_tokens = told.cached.value_or(0);
  counts.reasoning_tokens = told.reasoning.value_or(0);
  counts.estimated = !told.prompt || is_short || !told.is_told();
  if (told.is_told()) return;
  counts.completion_tokens += whole_tokens_;
  if (is_left && !request_.facts.stream) {
    counts.completion_tokens += home_.gate().mean_completion(request_.model->index);
  }
}

// What a client could have made the runtime say is not believed. A refusal costs nothing.
void upstream_call::estimate_tokens(usage_counts& counts) const {
  if (sent_at_ == time_point{} || head_.status >= 400) return;
  counts.prompt_tokens = request_.facts.text_bytes / json_bytes_of_token;
  if (request_.estimate_from_length) counts.completion_tokens = answer_bytes_ / json_bytes_of_token;
  counts.estimated = 1;
}

}  // namespace signalbox::http
