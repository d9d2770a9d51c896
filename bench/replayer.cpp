#include "bench/replayer.hpp"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

namespace signalbox::bench {
namespace {

constexpr std::string_view word = "track ";
constexpr std::size_t max_whole_bytes = 64 << 20;  // kept of an answer that is not streamed
// Shorter than any server keeps an idle connection open, so that none is closed just as we write to
// it.
constexpr auto reuse_within = std::chrono::seconds(5);

double ms_since(steady::time_point from) {
  return std::chrono::duration<double, std::milli>(steady::now() - from).count();
}

bool same_name(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == y;
  });
}

}  // namespace

class replayer::exchange : public exchange_listener {
 public:
  exchange(replayer& all, const trace_request& request, steady::time_point due,
           std::weak_ptr<http_connection> connection)
      : all_(all), request_(request), due_(due), connection_(std::move(connection)) {}

  void status(int code) override { status_ = code; }

  void header(std::string_view name, std::string_view value) override {
    double wait_ms = 0;
    if (!same_name(name, "x-queue-wait-ms")) return;
    const auto read = std::from_chars(value.data(), value.data() + value.size(), wait_ms);
    if (read.ec == std::errc()) queue_wait_ms_ = wait_ms;
  }

  void body(std::string_view bytes) override {
    if (answer_.size() < 1024) answer_ += bytes.substr(0, 1024 - answer_.size());
    if (status_ != 200) return;
    if (!all_.options_.stream) {
      if (whole_.size() < max_whole_bytes) whole_ += bytes;
      return;
    }
    events_.add(bytes);
    while (const auto data = events_.next()) {
      if (*data == "[DONE]") {
        done_ = true;
      } else {
        take(*data);
      }
    }
  }

  void ended(exchange_end end) override {
    if (end == exchange_end::complete && status_ == 200 && !all_.options_.stream) {
      take(whole_);
      done_ = true;
    }
    const auto error = judge(end);
    if (error.empty()) {
      record();
    } else {
      all_.fail(error, answer_);
    }
    all_.ended(connection_.lock());
  }

 private:
  void take(std::string_view json) {
    const auto object = all_.reader_.read(json);
    if (!object) {
      garbage_ = true;
      return;
    }
    if (!object->text.empty() && !first_token_ms_) first_token_ms_ = ms_since(due_);
    if (object->has_usage) usage_ = *object;
  }

  std::string judge(exchange_end end) const {
    if (end != exchange_end::complete) return to_string(end);
    if (status_ != 200) return "HTTP " + std::to_string(status_);
    if (garbage_) return "an error or no JSON in the answer";
    if (!done_) return "no [DONE]";
    if (!usage_) return "no usage";
    const bool same = usage_->prompt_tokens == request_.prompt_tokens &&
                      usage_->completion_tokens == request_.completion_tokens;
    return same ? "" : "other tokens than asked for";
  }

  void record() {
    auto& result = all_.result_;
    result.prompt_tokens += usage_->prompt_tokens;
    result.completion_tokens += usage_->completion_tokens;
    if (queue_wait_ms_) result.queue_wait_ms.push_back(*queue_wait_ms_);
    if (first_token_ms_ && all_.options_.stream) result.first_token_ms.push_back(*first_token_ms_);
    result.end_to_end_ms.push_back(ms_since(due_));
  }

  replayer& all_;
  const trace_request& request_;
  const steady::time_point due_;
  const std::weak_ptr<http_connection> connection_;
  event_splitter events_;
  std::string whole_, answer_;
  int status_ = 0;
  bool done_ = false, garbage_ = false;
  std::optional<double> queue_wait_ms_, first_token_ms_;
  std::optional<chat_object> usage_;
};

replayer::replayer(asio::io_context& io, const replay_options& options,
                   const std::vector<trace_request>& trace)
    : io_(io), options_(options), trace_(trace), to_(parse_target(options.url)), timer_(io) {
  std::uint32_t max_prompt_tokens = 0;
  for (const auto& request : trace)
    max_prompt_tokens = std::max(max_prompt_tokens, request.prompt_tokens);
  words_.reserve(max_prompt_tokens * word.size());
  for (std::uint32_t i = 0; i < max_prompt_tokens; ++i) words_ += word;
}

void replayer::start(std::function<void()> all_ended) {
  all_ended_ = std::move(all_ended);
  begin_ = steady::now();
  send_due();
}

void replayer::stop() {
  timer_.cancel();
  result_.took_s = ms_since(begin_) / 1000;
  io_.stop();
}

void replayer::send_due() {
  const auto due_at = [&](const trace_request& request) {
    return begin_ +
           std::chrono::duration_cast<steady::duration>(request.arrival / options_.speedup);
  };
  const auto now = steady::now();
  while (result_.due < trace_.size() && due_at(trace_[result_.due]) <= now) ++result_.due;
  const auto may_send = [&] {
    return result_.sent < result_.due && result_.sent - result_.ended < options_.max_concurrent;
  };
  // Sends some at a time: on a slow machine connections must not wait while many requests are
  // written.
  for (int i = 0; i < 16 && may_send(); ++i) {
    const auto& request = trace_[result_.sent++];
    send(request, due_at(request));
  }
  const bool more = may_send();
  if (!more) {
    result_.most_held_back = std::max(result_.most_held_back, result_.due - result_.sent);
    if (result_.due == trace_.size()) return;
  }
  timer_.expires_at(more ? now : due_at(trace_[result_.due]));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) send_due();
  });
}

void replayer::send(const trace_request& request, steady::time_point due) {
  nlohmann::json body{
      {"model", options_.model},
      {"messages",
       {{{"role", "user"}, {"content", words_.substr(0, request.prompt_tokens * word.size())}}}},
      {"max_tokens", request.completion_tokens},
      {"stream", options_.stream},
      {"sim_prompt_tokens", request.prompt_tokens},
      {"sim_completion_tokens", request.completion_tokens}};
  if (options_.stream) body["stream_options"] = {{"include_usage", true}};
  const auto connection = take_connection();
  connection->start(post_request(to_, "/v1/chat/completions", options_.key, body.dump()),
                    std::make_shared<exchange>(*this, request, due, connection),
                    from_seconds(options_.timeout_s));
}

std::shared_ptr<http_connection> replayer::take_connection() {
  while (!idle_.empty()) {
    auto connection = std::move(idle_.back());
    idle_.pop_back();
    if (steady::now() - connection->idle_since() < reuse_within) return connection;
    idle_.clear();  // the others have been idle for longer
  }
  return std::make_shared<http_connection>(io_, to_.address);
}

void replayer::ended(const std::shared_ptr<http_connection>& connection) {
  ++result_.ended;
  if (connection && connection->reusable()) idle_.push_back(connection);
  if (result_.ended == trace_.size()) {
    result_.took_s = ms_since(begin_) / 1000;
    idle_.clear();
    all_ended_();
  } else if (result_.sent < result_.due) {
    send_due();
  }
}

void replayer::fail(const std::string& kind, const std::string& answer) {
  if (result_.error_count++ == 0) result_.first_error = kind + ": " + answer;
  ++result_.errors[kind];
}

}  // namespace signalbox::bench
