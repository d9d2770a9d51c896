#include "http/admin/log_routes.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "http/admin/log_reader.hpp"
#include "http/serve/client_door.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/json_route.hpp"
#include "http/serve/reply.hpp"
#include "http/serve/response_writer.hpp"
#include "http/serve/routes.hpp"
#include "records/runtime_log.hpp"

namespace signalbox::http {

namespace {

constexpr std::size_t default_lines = 200, max_lines = 10000;
constexpr auto* log_type = "text/plain; charset=utf-8";

constexpr auto look_gap = std::chrono::milliseconds(200);  // between two looks at the file

std::optional<std::size_t> lines_of(const routed_request& request) {
  const auto text = query_value(request.client, "lines");
  if (text.empty()) return default_lines;
  std::size_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  return is_number && value <= max_lines ? std::optional(value) : std::nullopt;
}

// Passes on what is written to a log until the client leaves or the gateway stops. One piece is on
// its way at a time. Its timer owns it, on the loop of its shard. It reads there, too: pieces are
// small, and were written a moment ago.
class log_stream : public std::enable_shared_from_this<log_stream> {
 public:
  log_stream(shard& home, const routed_request& request, std::string path,
             std::shared_ptr<void> place)
      : home_(home),
        asked_(asked_of(request)),
        kept_(home.keep(asked_)),
        reader_(std::move(path)),
        place_(std::move(place)),
        timer_(home.io()) {}
  log_stream(const log_stream&) = delete;

  void begin(std::size_t lines) {
    boost::asio::post(home_.io(), [me = shared_from_this(), lines] {
      me->stream_.emplace(begin_answer(me->home_, me->asked_, log_type));
      me->write(me->reader_.last_lines(lines));
      me->look_later();
    });
  }

 private:
  void look_later() {
    timer_.expires_after(look_gap);
    timer_.async_wait([me = shared_from_this()](const auto& error) {
      if (!error) me->look();
    });
  }

  void look() {
    if (is_over_) return;
    if (home_.gateway().draining() || asked_.share->door().may_have_left()) return end();
    pass_on();
    if (!is_over_) look_later();
  }

  void pass_on() {
    if (!is_writing_) write(reader_.more());
  }

  void write(std::string piece) {
    if (piece.empty()) return;
    is_writing_ = true;
    stream_->write(std::move(piece), [weak = weak_from_this()](const auto& error) {
      if (const auto me = weak.lock()) me->written(static_cast<bool>(error));
    });
  }

  void written(bool failed) {
    is_writing_ = false;
    if (is_over_) return;
    if (failed) return end();
    pass_on();
  }

  void end() {
    is_over_ = true;
    timer_.cancel();
    stream_->end({});
    asked_ = {};  // the connection goes on
    place_.reset();
    home_.hand_over(kept_);
  }

  shard& home_;
  asked_request asked_;
  const std::uint64_t kept_;  // counts as a request that its shard waits for
  log_reader reader_;
  std::shared_ptr<void> place_;
  boost::asio::steady_timer timer_;
  std::optional<response_writer> stream_;
  bool is_writing_ = false, is_over_ = false;
};

}  // namespace

void show_logs(shard& home, routed_request request) {
  auto& gateway = home.gateway();
  const auto refuse = [&](error_code code, std::string message, std::string param = {}) {
    reply_to(home, request).refuse(code, std::move(message), std::move(param));
  };
  const auto name = parameter_of(request);
  const auto model = gateway.models()->find(name);
  if (!model) {
    return refuse(error_code::model_not_found, "The model '" + name + "' does not exist.");
  }
  if (model->options.driver == config::driver_kind::external) {
    return refuse(error_code::conflict,
                  "The model '" + name + "' is external: its output is not seen here.");
  }
  const auto lines = lines_of(request);
  if (!lines) {
    return refuse(error_code::invalid_value, "lines must be a number from 0 to 10000.", "lines");
  }
  const auto follow = bool_of(request, "follow", false);
  if (!follow) {
    return refuse(error_code::invalid_value, "follow must be true or false.", "follow");
  }
  auto path = runtime_log_path(gateway.settings().data_dir, model->options.name);
  if (!*follow || method_of(request.client) == "HEAD") {
    return reply_to(home, request).answer(200, log_type, log_reader(path).last_lines(*lines));
  }
  auto place = gateway.take_log_place();
  if (!place) {
    return refuse(error_code::overloaded, "Too many clients follow logs; please try again later.");
  }
  std::make_shared<log_stream>(home, request, std::move(path), std::move(place))->begin(*lines);
}

}  // namespace signalbox::http
