#include "runtimes/sim/generation.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>

namespace signalbox::sim {
namespace {

namespace asio = restinio::asio_ns;

constexpr std::uint64_t max_events_at_once = 64;
using wake_up_grid = std::ratio<1, 2000>;  // seconds

const char* id_prefix(route r) {
  switch (r) {
    case route::completions:
      return "cmpl-";
    case route::messages:
      return "msg_";
    case route::responses:
      return "resp_";
    case route::rerank:
      return "rerank-";
    case route::score:
      return "score-";
    default:
      return "chatcmpl-";
  }
}

std::string next_id(route r) {
  static std::uint64_t count = 0;
  return fmt::format("{}sim{:020x}", id_prefix(r), ++count);
}

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(sim_clock::now().time_since_epoch())
      .count();
}

// Finds the socket of a connection by its peer, because RESTinio does not expose it and faults need
// it. There is one thread, so no descriptor is reused meanwhile.
std::optional<int> socket_of(const restinio::endpoint_t& peer) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  for (int fd = 3; fd < static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1 << 20)); ++fd) {
    restinio::endpoint_t found;
    socklen_t size = static_cast<socklen_t>(found.capacity());
    if (getpeername(fd, found.data(), &size) != 0) continue;
    found.resize(size);
    if (found == peer) return fd;
  }
  return std::nullopt;
}

}  // namespace

void cut_connection(const restinio::endpoint_t& peer) {
  if (const auto fd = socket_of(peer)) ::shutdown(*fd, SHUT_RDWR);
}

void send_raw_and_cut(const restinio::endpoint_t& peer, std::string_view bytes) {
  const auto fd = socket_of(peer);
  if (!fd) return;
  (void)!::send(*fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  ::shutdown(*fd, SHUT_RDWR);
}

void die_if_told(const fault_set& faults) {
  if (faults.has(fault::segfault)) {
    std::signal(SIGSEGV, SIG_DFL);  // a sanitizer would catch it
    std::raise(SIGSEGV);
  }
  if (faults.has(fault::oom)) {
    std::fputs("RuntimeError: CUDA out of memory (simulated)\n", stderr);
    std::_Exit(1);
  }
}

void slot_pool::enter(generation_ptr who) {
  if (free_ == 0) {
    waiting_.push_back(std::move(who));
  } else {
    give_slot(who);
  }
}

void slot_pool::give_slot(const generation_ptr& who) {
  --free_;
  meters_.active.Increment();
  who->has_slot = true;
  who->slot_granted();
}

void slot_pool::leave(generation& who) {
  if (!who.has_slot) {
    std::erase_if(waiting_, [&](const auto& other) { return other.get() == &who; });
    return;
  }
  who.has_slot = false;
  ++free_;
  meters_.active.Decrement();
  if (waiting_.empty()) return;
  const auto next = std::move(waiting_.front());
  waiting_.pop_front();
  give_slot(next);
}

generation::generation(asio::io_context& io, restinio::request_handle_t handle,
                       inference_request request, fault_set faults, const sim_options& options,
                       slot_pool& slots, meters& m)
    : handle_(std::move(handle)),
      request_(std::move(request)),
      faults_(std::move(faults)),
      options_(options),
      slots_(slots),
      meters_(m),
      timer_(io),
      id_(next_id(request_.route)) {}

// Times lie on a common grid, so that streams that are due together share one wake-up of the
// thread.
void generation::wait_until(sim_clock::time_point when, void (generation::*then)()) {
  timer_.expires_at(std::chrono::ceil<std::chrono::duration<std::int64_t, wake_up_grid>>(when));
  timer_.async_wait([self = shared_from_this(), then](const auto& error) {
    if (!error && !self->over_) (self.get()->*then)();
  });
}

void generation::slot_granted() {
  const auto now = sim_clock::now();
  double prefill_s =
      faults_.has(fault::slow_first_byte) ? faults_.argument(fault::slow_first_byte) : 0;
  if (options_.prefill_tps > 0) {
    prefill_s += static_cast<double>(request_.prompt_tokens) / options_.prefill_tps;
  }
  first_token_at_ = now + from_seconds(prefill_s);
  token_gap_ = options_.decode_tps > 0 ? from_seconds(1 / options_.decode_tps) : duration::zero();
  if (request_.stream) {
    wait_until(first_token_at_, &generation::begin_stream);
    return;
  }
  const auto gaps = request_.completion_tokens > 0 ? request_.completion_tokens - 1 : 0;
  wait_until(first_token_at_ + token_gap_ * static_cast<std::int64_t>(gaps),
             &generation::answer_whole);
}

void generation::answer_whole() {
  meters_.prompt_tokens.Increment(static_cast<double>(request_.prompt_tokens));
  meters_.completion_tokens.Increment(static_cast<double>(request_.completion_tokens));
  auto body = answer_body(request_, id_, options_);
  if (faults_.has(fault::bad_json)) body.resize(body.size() / 2);
  const bool cut = faults_.has(fault::close_idle);
  if (options_.nagle) {
    auto response = handle_->create_response<restinio::user_controlled_output_t>();
    response.append_header(restinio::http_field::content_type, "application/json")
        .set_content_length(body.size())
        .connection_keep_alive()
        .flush();
    response.append_body(std::move(body)).done();
    return finish();
  }
  handle_->create_response()
      .append_header(restinio::http_field::content_type, "application/json")
      .connection_keep_alive()
      .set_body(std::move(body))
      .done([cut, peer = handle_->remote_endpoint()](const auto& error) {
        if (!error && cut) cut_connection(peer);
      });
  finish();
}

void generation::begin_stream() {
  meters_.prompt_tokens.Increment(static_cast<double>(request_.prompt_tokens));
  frames_.emplace(request_, id_, options_.usage);
  stream_.emplace(handle_->create_response<restinio::chunked_output_t>());
  stream_
      ->append_header(restinio::http_field::content_type, stream_type(dialect_of(request_.route)))
      .append_header(restinio::http_field::cache_control, "no-cache")
      .connection_keep_alive();
  if (options_.nagle) stream_->flush();
  if (!frames_->begin().empty()) stream_->append_chunk(frames_->begin());
  send_due_events();
}

// Sends the events that are due: one for each token, several at once if the client was slow. The
// next ones are made only when these are written, so that a client that does not read costs
// nothing.
void generation::send_due_events() {
  const auto now = sim_clock::now();
  std::uint64_t due = request_.completion_tokens;
  if (token_gap_.count() > 0) {
    due = std::min<std::uint64_t>(due, 1 + (now - first_token_at_) / token_gap_);
  }
  due = std::min(due, sent_ + max_events_at_once);
  const auto time = now_ns();
  for (; sent_ < due; ++sent_) {
    if (cut_by_fault()) return;
    stream_->append_chunk(frames_->token(sent_, time));
    meters_.completion_tokens.Increment();
  }
  last_flush_ = sent_ == request_.completion_tokens;
  if (last_flush_) stream_->append_chunk(frames_->finish(time));
  auto notify = [self = shared_from_this()](const auto& error) { self->written(!error); };
  if (last_flush_) {
    stream_->done(std::move(notify));
  } else {
    stream_->flush(std::move(notify));
  }
}

bool generation::cut_by_fault() {
  const auto reached = [&](fault f) {
    return faults_.has(f) && sent_ >= static_cast<std::uint64_t>(faults_.argument(f));
  };
  const bool die = reached(fault::die_midstream);
  if (!die && !reached(fault::half_chunk)) return false;
  const auto frame = frames_->token(sent_, now_ns());
  if (!die) stream_->append_chunk(frame.substr(0, frame.size() / 2));
  stream_->flush([die, peer = handle_->remote_endpoint()](const auto&) {
    if (die) std::abort();
    cut_connection(peer);
  });
  finish();
  return true;
}

void generation::written(bool ok) {
  if (over_) return;
  if (!ok) return client_left();
  if (last_flush_) {
    const auto peer = handle_->remote_endpoint();
    finish();
    if (faults_.has(fault::close_idle)) cut_connection(peer);
    return;
  }
  wait_until(first_token_at_ + token_gap_ * static_cast<std::int64_t>(sent_),
             &generation::send_due_events);
}

void generation::client_left() {
  if (over_) return;
  meters_.cancelled.Increment();
  finish();
}

void generation::finish() {
  over_ = true;
  timer_.cancel();
  slots_.leave(*this);
}

}  // namespace signalbox::sim
