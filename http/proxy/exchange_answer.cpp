// The client's side of an exchange: what it is answered, whole or as a stream.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <cmath>
#include <utility>

#include "http/proxy/exchange.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/limits.hpp"
#include "http/serve/request_headers.hpp"
#include "text/ascii.hpp"
#include "text/json_text.hpp"

namespace signalbox::http {

namespace {

// Back-pressure on a stream: no more is read from the runtime above the first, until below the
// second has not yet gone to the client's socket.
constexpr std::size_t pause_above = 256 * 1024, resume_below = 64 * 1024;

constexpr auto* own_fields_name = "x-request-id";

restinio::http_status_line_t status_line(int status) {
  return {restinio::http_status_code_t{static_cast<std::uint16_t>(status)},
          std::string(reason_phrase(status))};
}

}  // namespace

// The fields of our own, as the value of x-request-id with the others in lines behind it: RESTinio
// compares each name that it is given with all those that it knows and all that are there.
std::string exchange::own_fields() const {
  const auto now = std::chrono::steady_clock::now();
  const auto waited = (permitted_at_ == time_point{} ? now : permitted_at_) - arrived_at_;
  const auto waited_ms = std::chrono::duration_cast<std::chrono::milliseconds>(waited).count();
  std::string lines;
  lines.reserve(512);
  lines.append(request_.request_id)
      .append("\r\nx-selected-model: ")
      .append(options().name)
      .append("\r\nx-queue-wait-ms: ")
      .append(std::to_string(waited_ms));
  append_limit_fields(*request_.who, now, lines);
  extra_headers cors;
  home_.gateway().cors().add_headers(request_.client, cors);
  for (const auto& [name, value] : cors) {
    lines.append("\r\n").append(name).append(": ").append(value);
  }
  return lines;
}

void exchange::answer_client() {
  const auto how = head_.status < 500 ? outcome::completed : outcome::failed;
  if (stream_) {
    // Comments went out with a 200 already: what is no stream goes into it.
    if (!body_.empty() || head_.status != 200) unsent_ += answer_as_event();
    if (!unsent_.empty()) stream_->append_chunk(std::move(unsent_));
    stream_->done();
    return finish(how, head_.status);
  }
  auto response = request_.client->create_response(status_line(head_.status));
  response.append_header(own_fields_name, own_fields());
  head_.for_each_field([&](std::string_view name, std::string_view value) {
    if (!is_forwarded_to_client(name)) return;
    response.append_header(std::string(name), std::string(value));
  });
  if (!request_.client->header().should_keep_alive()) response.connection_close();
  response.set_body(std::move(body_)).done();
  finish(how, head_.status);
}

// JSON in one line as it is; anything else (a proxy's page of HTML) as an error of ours.
std::string exchange::answer_as_event() {
  auto text = json_on_one_line(body_);
  if (text.empty()) {
    text = error_body(error_code::upstream_failed,
                      "The runtime answered with status " + std::to_string(head_.status) + ".", {},
                      true);
  }
  return "data: " + text + "\n\n";
}

void exchange::start_stream() {
  stream_.emplace(request_.client->create_response<restinio::chunked_output_t>(status_line(200)));
  stream_->append_header(own_fields_name, own_fields());
  bool has_type = false;
  head_.for_each_field([&](std::string_view name, std::string_view value) {
    if (!is_forwarded_to_client(name)) return;
    has_type = has_type || equals_ignoring_case(name, "content-type");
    stream_->append_header(std::string(name), std::string(value));
  });
  if (!has_type) {
    stream_->append_header("Content-Type", "text/event-stream");
    stream_->append_header("Cache-Control", "no-cache");
  }
  if (!request_.client->header().should_keep_alive()) stream_->connection_close();
  stream_->flush();
}

// No more from the runtime than the client takes.
void exchange::hold_back() {
  if (unsent_.size() + writing_bytes_ > pause_above && upstream_) upstream_->pause();
}

// One write at a time: what arrives meanwhile goes out together with the next.
void exchange::write_stream() {
  if (unsent_.empty() || writing_bytes_ != 0) return;
  writing_bytes_ = unsent_.size();
  stream_->append_chunk(std::exchange(unsent_, {}));
  // Called with an error before flush() returns when the connection is closing.
  stream_->flush([weak = weak_from_this()](const auto& error) {
    if (auto me = weak.lock()) me->stream_written(static_cast<bool>(error));
  });
}

void exchange::stream_written(bool failed) {
  writing_bytes_ = 0;
  if (failed) return client_gone();
  if (unsent_.size() < resume_below && upstream_) upstream_->resume();
  if (!unsent_.empty()) ask_turn_end();
}

void exchange::fail(error_code code, std::string_view message, outcome how, double retry_after_s) {
  if (phase_ == phase::done) return;
  drop_upstream();
  if (stream_) {
    stream_->append_chunk(std::move(unsent_) + "data: " + error_body(code, message, {}, true) +
                          "\n\n");
    stream_->done();
    return finish(how, words(code).status);
  }
  extra_headers headers{{own_fields_name, own_fields()}};
  if (retry_after_s > 0) {
    headers.emplace_back("Retry-After", std::to_string(std::lround(std::ceil(retry_after_s))));
  }
  // Posted: a refusal can come while the request's own handler runs.
  boost::asio::post(
      home_.io(), [client = request_.client, code, headers = std::move(headers),
                   text = std::string(message)] { answer_error(client, code, text, {}, headers); });
  finish(how, words(code).status);
}

void exchange::write_log(outcome how, int status, const usage_counts& usage, time_point end) const {
  auto* const log = home_.gateway().log();
  if (!log) return;
  const auto address = address_of(request_.client);
  request_record record;
  record.request_id = request_.request_id;
  record.method = method_of(request_.client);
  record.route = request_.path;
  record.address = address;
  record.key_id = request_.who->key_id;
  record.client_id = request_.client_id;
  record.status = status;
  record.took = end - arrived_at_;
  record.inference = {options().name, to_string(how), request_.facts.stream,
                      end - arrived_at_ - held_, usage};
  log->write(record);
}

void exchange::ticket_placed(std::uint32_t position, double eta_s) {
  if (phase_ != phase::waiting || !request_.facts.stream) return;
  if (!stream_) start_stream();
  unsent_ += ": queued position=" + std::to_string(position) +
             " eta_s=" + std::to_string(std::lround(std::ceil(eta_s))) + "\n\n";
  ask_turn_end();
}

}  // namespace signalbox::http
