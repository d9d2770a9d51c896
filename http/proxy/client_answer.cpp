#include "http/proxy/client_answer.hpp"

#include <boost/asio/post.hpp>
#include <chrono>
#include <cmath>
#include <utility>

#include "http/proxy/late_answer.hpp"
#include "http/proxy/ollama_load.hpp"
#include "http/serve/client_door.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/limits.hpp"
#include "http/serve/reply.hpp"
#include "http/serve/request_headers.hpp"
#include "text/append.hpp"
#include "text/ascii.hpp"

namespace signalbox::http {

namespace {

// Back-pressure on a stream: no more is read from the runtime above the first, until below the
// second has not yet gone to the client's socket.
constexpr std::size_t pause_above = 256 * 1024, resume_below = 64 * 1024;

constexpr auto* own_fields_name = "x-request-id";

std::string whole_seconds(double s) {
  return std::to_string(std::lround(std::ceil(s)));
}

}  // namespace

client_answer::client_answer(shard& home, inference_client client, call_request&& request)
    : home_(home), client_(std::move(client)), call_(home, std::move(request), *this) {}

void client_answer::tick(time_point now) {
  call_.tick(now);
  if (!call_.request().facts.stream || !has_comments() || !call_.is_silent()) return;
  const auto& server = home_.gateway().settings().server;
  const auto due = last_comment_ == time_point{}
                       ? call_.arrived_at() + from_seconds(server.stream_comment_grace_s)
                       : last_comment_ + from_seconds(server.stream_comment_interval_s);
  if (now < due) return;
  last_comment_ = now;
  if (call_.is_waiting()) return call_.ask_place();
  write_comment(": processing\n\n");
}

void client_answer::probe() {
  if (stream_ && has_comments()) write_comment(":\n\n");
}

// Whether the client's stream is one of events.
bool client_answer::has_comments() const {
  const auto spoken = call_.request().dialect;
  return spoken == dialect::openai || spoken == dialect::responses || spoken == dialect::anthropic;
}

// Begins the stream if it has not begun. Events are whole where the call has given them out, but
// for those that are too long.
void client_answer::write_comment(std::string_view comment) {
  if (call_.is_cut()) return;
  if (!stream_) start_stream();
  unsent_ += comment;
  write_stream();
}

void client_answer::call_placed(std::uint32_t position, double eta_s) {
  if (!stream_) start_stream();
  unsent_ +=
      ": queued position=" + std::to_string(position) + " eta_s=" + whole_seconds(eta_s) + "\n\n";
  call_.ask_turn_end();
}

// Returns the fields of our own, as the value of x-request-id with the others in lines behind it.
std::string client_answer::own_fields() const {
  const auto now = home_.now();
  const auto waited =
      std::chrono::duration_cast<std::chrono::milliseconds>(call_.queue_wait(now)).count();
  const auto& request = call_.request();
  std::string lines;
  lines.reserve(512);
  append(lines, request.request_id, "\r\nDate: ", http_date(),
         "\r\nx-selected-model: ", request.model->options.name,
         "\r\nx-queue-wait-ms: ", std::to_string(waited));
  append_limit_fields(*request.who, now, lines);
  extra_headers cors;
  home_.gateway().cors().add_headers(client_.handle->header(), cors);
  for (const auto& [name, value] : cors) {
    append(lines, "\r\n", name, ": ", value);
  }
  return lines;
}

void client_answer::start_stream() {
  stream_.emplace(client_.handle, call_.passes_bytes() ? call_.head().status : 200);
  stream_->add(own_fields_name, own_fields());
  bool has_type = call_.passes_bytes();  // or what the runtime likes
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!is_forwarded_to_client(name)) return;
    has_type = has_type || equals_ignoring_case(name, "content-type");
    stream_->add(name, value);
  };
  // A whole answer whose head has come has another form than the stream.
  if (call_.is_stream()) call_.head().for_each_field(add);
  if (!has_type) {
    stream_->add("Content-Type", "text/event-stream");
    stream_->add("Cache-Control", "no-cache");
  }
  stream_->begin(length_told());
}

// The length of a stream of bytes, if the runtime framed it by that. Other streams may get more or
// fewer events than the runtime sends.
std::string_view client_answer::length_told() const {
  const bool is_framed_by_it = call_.passes_bytes() && !call_.head().has_coding();
  return is_framed_by_it ? call_.head().find("content-length") : std::string_view();
}

// Comments may have begun the stream.
void client_answer::call_stream_began() {
  if (!stream_) start_stream();
}

tunnel_end_ptr client_answer::call_switched(std::string& head) {
  is_tunnel_ = true;
  const auto& answer = call_.head();
  head.append("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ")
      .append(answer.upgrade().empty() ? call_.request().upgrade : answer.upgrade())
      .append("\r\n")
      .append(own_fields_name)
      .append(": ")
      .append(own_fields())
      .append("\r\n");
  answer.for_each_field([&](std::string_view name, std::string_view value) {
    if (!is_forwarded_to_client(name)) return;
    append(head, name, ": ", value, "\r\n");
  });
  head.append("\r\n");
  return client_.share->door().begin_tunnel(client_.handle);
}

void client_answer::take_events() {
  if (unsent_.empty()) return unsent_.swap(call_.text());
  unsent_ += call_.text();
  call_.text().clear();
}

// No more is read from the runtime than the client takes.
void client_answer::call_turn_ended() {
  take_events();
  if (unsent_.size() + writing_bytes_ > pause_above) call_.pause();
  write_stream();
}

// There is one write at a time: what arrives meanwhile goes out together with the next.
void client_answer::write_stream() {
  if (unsent_.empty() || writing_bytes_ != 0) return;
  writing_bytes_ = unsent_.size();
  stream_->write(std::exchange(unsent_, {}), [weak = weak_from_this()](const auto& error) {
    const auto me = std::static_pointer_cast<client_answer>(weak.lock());
    if (me) me->stream_written(static_cast<bool>(error));
  });
}

void client_answer::stream_written(bool failed) {
  writing_bytes_ = 0;
  if (failed) return call_.cancel();
  if (unsent_.size() < resume_below) call_.resume();
  if (!unsent_.empty()) call_.ask_turn_end();
}

int client_answer::call_completed() {
  if (call_.request().only_loads) return answer_loaded();
  auto& head = call_.head();
  auto& text = call_.text();
  if (stream_ && call_.is_stream()) {
    end_stream({});
    return head.status;
  }
  if (stream_) {
    const auto& request = call_.request();
    auto late = to_late_answer(request.dialect, head.status, text, request.facts.usage_wanted);
    end_stream(std::move(late.events));
    return late.status;
  }
  if (head.status == 404 && lacks_route()) {
    const auto& request = call_.request();
    answer_error(client_.handle, error_code::not_found,
                 "The runtime of model '" + request.model->options.name + "' has no route " +
                     std::string(request.path) + ".",
                 {}, {{own_fields_name, own_fields()}});
    return head.status;
  }
  response_writer response(client_.handle, head.status);
  response.add(own_fields_name, own_fields());
  head.for_each_field([&](std::string_view name, std::string_view value) {
    if (is_forwarded_to_client(name)) response.add(name, value);
  });
  if (call_.request().method == "HEAD") {
    response.send_head(head.find("content-length"));
  } else {
    response.send(std::move(text));
  }
  return head.status;
}

// Nothing was asked but that the model be loaded, which it is.
int client_answer::answer_loaded() {
  const int status = call_.head().status;
  response_writer response(client_.handle, status);
  response.add(own_fields_name, own_fields());
  response.add("Content-Type", "application/json");
  response.send(load_answer(client_.route, call_.request().facts.model, "load"));
  return status;
}

// Whether a 404 of the runtime is about its route and not told in the route's dialect. All runtimes
// have OpenAI's first routes.
bool client_answer::lacks_route() {
  const auto spoken = call_.request().dialect;
  return !call_.request().is_raw && spoken != dialect::openai && !is_error_of(spoken, call_.text());
}

// Sends what is left of the stream, in one chunk.
void client_answer::end_stream(std::string last) {
  if (call_.is_stream()) take_events();
  stream_->end(std::move(unsent_ += last));
}

void client_answer::call_failed(error_code code, std::string_view message, double retry_after_s) {
  is_broken_off_ = stream_ && call_.passes_bytes();
  if (is_broken_off_) return;
  if (stream_) {
    const auto* const before = call_.is_cut() ? "\n\n" : "";
    const auto spoken = call_.request().dialect;
    return end_stream(before + error_event(spoken, error_body(code, message, {}, spoken)));
  }
  extra_headers headers{{own_fields_name, own_fields()}};
  if (retry_after_s > 0) headers.emplace_back("Retry-After", whole_seconds(retry_after_s));
  // Posted: a refusal can come while the request's own handler runs.
  boost::asio::post(home_.io(), [client = client_, code, headers = std::move(headers),
                                 text = std::string(message)] {
    answer_error(client.handle, code, text, {}, headers);
  });
}

void client_answer::call_ended(const call_result& result) {
  write_log(result);
  home_.ended(client_.connection, *this);
  if (is_broken_off_) client_.share->door().break_off();
  if (is_tunnel_) home_.client_gone(client_.connection);  // RESTinio does not know that it is
}

void client_answer::write_log(const call_result& result) const {
  auto* const log = home_.gateway().log();
  if (!log) return;
  const auto& request = call_.request();
  auto record =
      record_of(request.method, client_.from,
                {request.request_id, client_.route, request.who->key_id, request.client_id},
                result.status, result.took);
  record.inference = {request.model->options.name, to_string(result.how), request.facts.stream,
                      result.queued, result.usage};
  log->write(record);
}

}  // namespace signalbox::http
