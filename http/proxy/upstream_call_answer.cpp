// The answer of a call: what it is, whether it is complete, and what is read of it.
#include <chrono>
#include <utility>

#include "http/proxy/upstream_call.hpp"
#include "text/ascii.hpp"

namespace signalbox::http {

namespace {

// A runtime that has said that nothing more comes has this long to end its answer as well.
constexpr auto done_linger = std::chrono::seconds(1);

// Whether a Content-Type is of this media type, whatever its parameters.
bool is_of_type(std::string_view content_type, std::string_view wanted) {
  return equals_ignoring_case(content_type.substr(0, wanted.size()), wanted);
}

// RFC 9110 6.4.1; a HEAD is another matter.
bool may_have_body(int status) {
  return status != 204 && status != 304;
}

// The runtime refused a credential, and the only one that it ever sees is the gateway's.
bool is_our_fault(int status) {
  return status == 401 || status == 407;
}

}  // namespace

void upstream_call::upstream_headers(upstream_head& head) {
  permit_.heard();
  std::swap(head_, head);
  if (is_our_fault(head_.status)) {
    return fail(error_code::upstream_failed,
                "The runtime of model '" + options().name + "' refused the gateway's credential (" +
                    std::to_string(head_.status) +
                    "); the operator sets it with the model's api_key_env.",
                outcome::failed);
  }
  if (head_.status == 101) {
    phase_ = phase::tunnelling;
    deadline_ = never;
    return;
  }
  if (is_asked_again_ && head_.status == 200) permit_.endpoint()->link->note_refused_usage();
  const bool is_head_only = request_.method == "HEAD";
  const auto type = head_.find("content-type");
  const bool has_lines = is_of_type(type, "application/x-ndjson");
  const bool has_events =
      head_.status == 200 && (has_lines || is_of_type(type, "text/event-stream"));
  passes_bytes_ = !request_.reads_usage && !is_head_only && may_have_body(head_.status);
  is_stream_ = passes_bytes_ || (has_events && !is_head_only);
  if (!is_stream_) {
    phase_ = phase::collecting;
    deadline_ = permitted_at_ + from_seconds(options().request_timeout_s);
    return;
  }
  phase_ = phase::relaying;
  if (has_lines) events_.expect_lines();
  if (passes_bytes_) {
    deadline_ = answer_deadline(home_.now(), options().stream_idle_timeout_s);
  }
  if (asks_for_usage_) events_.take_usage_out();
  listener_.call_stream_began();
}

void upstream_call::upstream_body(std::string_view bytes) {
  permit_.heard();
  answer_bytes_ += bytes.size();
  if (phase_ == phase::collecting) {
    if (text_.size() + bytes.size() > request_.max_answer_bytes) {
      return fail(error_code::upstream_too_large,
                  "The runtime's answer is over server.response_limit, " +
                      std::to_string(request_.max_answer_bytes) + " bytes.",
                  outcome::failed);
    }
    text_.append(bytes);
    return;
  }
  if (phase_ != phase::relaying) return;
  if (passes_bytes_) {
    deadline_ = answer_deadline(home_.now(), options().stream_idle_timeout_s);
    text_.append(bytes);
    return ask_turn_end();
  }
  const bool was_silent = !events_.saw_event(), was_done = events_.saw_done();
  events_.feed(bytes, text_);
  if (!text_.empty()) ask_turn_end();
  if (!events_.saw_event() || was_done) return;
  const auto at = home_.now();
  if (was_silent) request_.model->meters->first_token(at - arrived_at_);
  deadline_ =
      events_.saw_done() ? at + done_linger : answer_deadline(at, options().stream_idle_timeout_s);
}

// Whether an answer that ended like this is complete. A stream is when it says so, or tells an
// error, whatever became of its connection.
bool upstream_call::is_whole(upstream_end how) const {
  if (how == upstream_end::complete) return true;
  if (phase_ == phase::relaying && !passes_bytes_) {
    // One of several answers may be finished while another is not.
    const bool has_all = request_.facts.asks_several ? events_.saw_done() : events_.is_finished();
    return has_all || events_.error_status() != 0;
  }
  return how == upstream_end::complete_at_eof;
}

void upstream_call::begin_ending() {
  if (ask_without_usage()) return;
  read_whole_answer();
  phase_ = phase::ending;
  ask_turn_end();
}

// Sends the request once more, as the client sent it, to a runtime that refuses to tell usage.
bool upstream_call::ask_without_usage() {
  const bool is_refused = head_.status == 400 || head_.status == 422;
  if (!asks_for_usage_ || !is_refused ||
      options().usage_in_streams != config::usage_wish::automatic ||
      (text_.find("stream_options") == text_.npos && text_.find("include_usage") == text_.npos)) {
    return false;
  }
  is_asked_again_ = true;  // its runtime is remembered when that helps
  text_.clear();
  head_.clear();
  upstream_head_.clear();
  phase_ = phase::sending;
  send(false, home_.now());
  return true;
}

void upstream_call::read_whole_answer() {
  if (is_stream_) return events_.finish(text_);
  if (head_.status >= 300) return;
  events_.set_usage(read_usage(text_));
  if (request_.estimate_from_length) whole_tokens_ = text_.size() / json_bytes_of_token;
}

void upstream_call::hand_over() {
  phase_ = phase::done;
  charge_answer();
  int status = listener_.call_completed();
  if (events_.error_status() != 0) status = events_.error_status();
  finish(status < 500 ? outcome::completed : outcome::failed, status);
}

}  // namespace signalbox::http
