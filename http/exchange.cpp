#include "http/exchange.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <cmath>
#include <utility>

#include "http/gateway_state.hpp"
#include "http/request_headers.hpp"

namespace signalbox::http {

namespace {

// Back-pressure on a stream: no more is read from the runtime above the first, until below the
// second has not yet gone to the client's socket.
constexpr std::size_t pause_above = 256 * 1024, resume_below = 64 * 1024;

// After that many refused connections in a row the runtime is not coming back soon enough.
constexpr int max_retries = 3;

// The queue refuses at a ticket's deadline; the shard does so itself this much later.
constexpr auto queue_answer_slack = std::chrono::seconds(2);

duration seconds(double s) {
  return std::chrono::duration_cast<duration>(std::chrono::duration<double>(s));
}

time_point now() {
  return std::chrono::steady_clock::now();
}

bool is_event_stream(const upstream_head& head) {
  constexpr std::string_view wanted = "text/event-stream";
  for (const auto& [name, value] : head.headers) {
    if (equals_ignoring_case(name, "content-type")) {
      return value.size() >= wanted.size() &&
             equals_ignoring_case(std::string_view(value).substr(0, wanted.size()), wanted);
    }
  }
  return false;
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

void exchange::start() {
  home_.gateway().meters().in_flight(request_.model, 1);
  if (auto taken = home_.gate().take(request_.model, arrived_at_)) {
    return begin_sending(std::move(*taken), arrived_at_);
  }
  wait_for_permit();
}

void exchange::wait_for_permit() {
  phase_ = phase::waiting;
  double patience_s = options().queue_timeout_s;
  if (request_.max_wait_s) patience_s = std::min(patience_s, *request_.max_wait_s);
  const auto give_up_at = arrived_at_ + seconds(patience_s);
  deadline_ = give_up_at + queue_answer_slack;
  ticket_ = home_.gate().wait(request_.model, request_.work, request_.level, give_up_at, *this);
}

void exchange::ticket_granted(permit p) {
  ticket_ = 0;
  begin_sending(std::move(p), now());
}

void exchange::begin_sending(permit p, time_point at) {
  permit_ = std::move(p);
  permitted_at_ = at;
  home_.gateway().meters().queue_waited(request_.model, permitted_at_ - arrived_at_);
  phase_ = phase::sending;
  send_upstream(false, at);
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

void exchange::ticket_placed(std::uint32_t position, double eta_s) {
  if (phase_ != phase::waiting || !request_.facts.stream) return;
  if (!stream_) start_stream(200, {});
  write_stream(": queued position=" + std::to_string(position) +
               " eta_s=" + std::to_string(std::lround(std::ceil(eta_s))) + "\n\n");
}

// The runtime died, it seems, and its queue does not know yet. Nothing of this request was ever
// sent (it could be what kills runtimes), so it waits for a permit again at the next tick.
void exchange::park(outcome how) {
  ++retries_;
  permit_.settle(how);
  upstream_head_.clear();  // names the endpoint; the next run has another
  phase_ = phase::parked;
  deadline_ = never;
}

bool exchange::may_park() const {
  return retries_ < max_retries && !delivered_ && !stream_;
}

void exchange::send_upstream(bool fresh, time_point at) {
  if (home_.pool().is_suspect(request_.model, permit_.endpoint(), at) && may_park()) {
    return park(outcome::cancelled);
  }
  ++attempts_;
  if (upstream_head_.empty()) build_upstream_head();
  deadline_ = std::min(permitted_at_ + seconds(options().request_timeout_s),
                       at + seconds(options().first_byte_timeout_s));
  const auto body = apply_edits(request_.client->body(), edits_);
  gathered_pieces pieces{upstream_head_};
  std::copy(body.begin(), body.end(), pieces.begin() + 1);
  upstream_ = home_.pool().take(request_.model, permit_.endpoint(), fresh);
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

void exchange::upstream_headers(upstream_head head) {
  head_ = std::move(head);
  if (head_.status == 200 && is_event_stream(head_)) {
    phase_ = phase::relaying;
    deadline_ = now() + seconds(options().stream_idle_timeout_s);
    if (!stream_) start_stream(200, head_.headers);
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
  write_stream(events_.feed(bytes));
}

void exchange::upstream_ended(upstream_end how) {
  const bool reused = upstream_ && upstream_->was_reused();
  upstream_ = nullptr;
  delivered_ = delivered_ || how != upstream_end::connect_failed;
  if (how == upstream_end::complete) return complete();
  // A kept-alive connection that the runtime closed meanwhile: nothing was answered, send it again.
  if (how == upstream_end::closed_unused && reused && attempts_ < 3)
    return send_upstream(true, now());
  home_.pool().suspect(request_.model, permit_.endpoint(), now());
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
    auto rest = events_.finish();
    if (!rest.empty()) write_stream(std::move(rest));
    if (phase_ != phase::relaying) return;  // the client went away while we wrote
    stream_->done();
    return finish(outcome::completed, 200);
  }
  const auto how = head_.status < 500 ? outcome::completed : outcome::failed;
  if (stream_) {  // comments went out with a 200 already: the error goes into the stream
    write_stream("data: " + (body_.empty() ? std::string("{}") : body_) + "\n\n");
    if (phase_ == phase::done) return;
    stream_->done();
    return finish(how, head_.status);
  }
  answer_collected(how);
}

void exchange::answer_collected(outcome how) {
  if (head_.status == 200) {
    home_.gateway().meters().first_token(request_.model, now() - arrived_at_);
    events_.set_usage(read_usage(body_));
  }
  auto headers = own_headers();
  headers.reserve(headers.size() + head_.headers.size());
  for (auto& field : head_.headers) {
    if (is_forwarded_to_client(field.first)) headers.push_back(std::move(field));
  }
  answer(request_.client, head_.status, {}, std::move(body_), std::move(headers));
  finish(how, head_.status);
}

extra_headers exchange::own_headers() const {
  const auto waited =
      permitted_at_ == time_point{} ? now() - arrived_at_ : permitted_at_ - arrived_at_;
  const auto waited_ms = std::chrono::duration_cast<std::chrono::milliseconds>(waited).count();
  return {{"x-request-id", request_.request_id},
          {"x-selected-model", options().name},
          {"x-queue-wait-ms", std::to_string(waited_ms)}};
}

void exchange::start_stream(int status, const header_list& headers) {
  stream_.emplace(request_.client->create_response<restinio::chunked_output_t>(
      restinio::http_status_line_t{restinio::http_status_code_t{static_cast<std::uint16_t>(status)},
                                   std::string(reason_phrase(status))}));
  for (const auto& [name, value] : own_headers()) stream_->append_header(name, value);
  bool has_type = false;
  for (const auto& [name, value] : headers) {
    if (!is_forwarded_to_client(name)) continue;
    has_type = has_type || equals_ignoring_case(name, "content-type");
    stream_->append_header(name, value);
  }
  if (!has_type) {
    stream_->append_header("Content-Type", "text/event-stream");
    stream_->append_header("Cache-Control", "no-cache");
  }
  if (!request_.client->header().should_keep_alive()) stream_->connection_close();
  stream_->flush();
}

void exchange::write_stream(std::string bytes) {
  if (bytes.empty()) return;
  const auto size = bytes.size();
  unwritten_bytes_ += size;
  stream_->append_chunk(std::move(bytes));
  stream_->flush([weak = weak_from_this(), size](const auto& error) {
    if (auto me = weak.lock()) me->stream_written(size, static_cast<bool>(error));
  });
  if (unwritten_bytes_ > pause_above && upstream_) upstream_->pause();
}

void exchange::stream_written(std::size_t bytes, bool failed) {
  unwritten_bytes_ -= bytes;
  if (failed) return client_gone();
  if (unwritten_bytes_ < resume_below && upstream_) upstream_->resume();
}

void exchange::fail(error_code code, std::string_view message, outcome how, double retry_after_s) {
  if (phase_ == phase::done) return;
  drop_upstream();
  extra_headers headers = own_headers();
  if (retry_after_s > 0) {
    headers.emplace_back("Retry-After", std::to_string(std::lround(std::ceil(retry_after_s))));
  }
  if (stream_) {
    write_stream("data: " + error_body(code, message, {}, true) + "\n\n");
    if (phase_ == phase::done) return;
    stream_->done();
  } else {
    // Posted: a refusal can come while the request's own handler runs.
    boost::asio::post(home_.io(), [client = request_.client, code, headers = std::move(headers),
                                   text = std::string(message)] {
      answer_error(client, code, text, {}, headers);
    });
  }
  finish(how, words(code).status);
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
  permit_.settle(how);
  auto& meters = home_.gateway().meters();
  meters.in_flight(request_.model, -1);
  meters.request_ended(request_.model, request_.route, status);
  count_usage(how, status);
  home_.ended(request_.connection, *this);
}

void exchange::count_usage(outcome how, int status) {
  usage_row row;
  row.requests = 1;
  row.cancelled = how == outcome::cancelled;
  row.successes = row.cancelled == 0 && status < 400;
  row.errors = row.cancelled == 0 && status >= 400;
  if (const auto& usage = events_.usage()) {
    row.prompt_tokens = usage->prompt;
    row.completion_tokens = usage->completion;
  } else if (permitted_at_ != time_point{} && (row.successes || events_.tokens_seen() > 0)) {
    // No usage was told: about four bytes of JSON to a token, and one token to a chunk.
    row.prompt_tokens = request_.client->body().size() / 4;
    row.completion_tokens = events_.tokens_seen();
    row.estimated = 1;
  }
  home_.gateway().meters().tokens(request_.model, row.prompt_tokens, row.completion_tokens);
  home_.account(request_.who, request_.model, row);
}

}  // namespace signalbox::http
