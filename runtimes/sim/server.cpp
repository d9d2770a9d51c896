#include "runtimes/sim/server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <restinio/http_server.hpp>
#include <restinio/websocket/websocket.hpp>
#include <unordered_map>

#include "runtimes/sim/generation.hpp"
#include "runtimes/sim/raw_api.hpp"

namespace signalbox::sim {
namespace {

namespace asio = restinio::asio_ns;
namespace websocket = restinio::websocket::basic;
using restinio::request_handle_t;

constexpr std::size_t max_connections = 20000;

// Counts connections, and notices when one is gone, so that its requests stop.
class connection_listener {
 public:
  connection_listener(prometheus::Counter& opened,
                      std::function<void(restinio::connection_id_t)> on_closed)
      : opened_(opened), on_closed_(std::move(on_closed)) {}
  void state_changed(const restinio::connection_state::notice_t& notice) noexcept {
    using namespace restinio::connection_state;
    if (std::holds_alternative<accepted_t>(notice.cause())) opened_.Increment();
    if (std::holds_alternative<closed_t>(notice.cause())) on_closed_(notice.connection_id());
  }

 private:
  prometheus::Counter& opened_;
  std::function<void(restinio::connection_id_t)> on_closed_;
};

struct sim_traits
    : restinio::single_thread_traits_t<restinio::asio_timer_manager_t, restinio::null_logger_t> {
  using connection_state_listener_t = connection_listener;
  static constexpr bool use_connection_count_limiter = true;
};

class server {
 public:
  server(asio::io_context& io, const sim_options& options)
      : io_(io),
        options_(options),
        slots_(options.slots, options.max_waiting, meters_),
        load_timer_(io),
        fault_timer_(io),
        signals_(io) {}

  void start();

 private:
  struct inference_route {
    std::string_view path;
    route which;
  };
  using handler = void (server::*)(const request_handle_t&);
  struct route_entry {
    std::string_view path;
    restinio::http_method_id_t method;
    handler handle;
  };

  void open();
  void arm_timed_fault();
  void arm_signals();
  void dispatch(const request_handle_t& request);
  void connection_closed(restinio::connection_id_t id);

  void infer(const request_handle_t& request, route which);
  bool misbehave(const request_handle_t& request, const fault_set& faults, dialect spoken);
  void apply_template(const request_handle_t& request);
  void slots(const request_handle_t& request) { answer(request, 200, slots_body(options_)); }
  void models(const request_handle_t& request);
  void health(const request_handle_t& request);
  void metrics(const request_handle_t& request);
  bool answer_raw(const request_handle_t& request);
  void echo_messages(const request_handle_t& request);

  static void answer(const request_handle_t& request, std::uint16_t status, std::string body,
                     const char* content_type = "application/json", const char* allow = nullptr);
  static void refuse(const request_handle_t& request, const api_error& error,
                     dialect spoken = dialect::openai) {
    answer(request, error.status, error_body(error, spoken));
  }
  static void refuse_method(const request_handle_t& request, const char* allowed) {
    answer(request, 405, error_body({405, "method not allowed", "method_not_allowed"}),
           "application/json", allowed);
  }

  static const std::array<inference_route, 13> inference_routes;  // all for POST
  static const std::array<route_entry, 5> routes;

  asio::io_context& io_;
  const sim_options& options_;
  meters meters_;
  slot_pool slots_;
  asio::steady_timer load_timer_;
  asio::steady_timer fault_timer_;
  asio::signal_set signals_;
  std::unique_ptr<restinio::http_server_t<sim_traits>> http_;
  bool loaded_ = false;
  // The open requests of a connection: running ones, and those that are never answered. A
  // connection has at most two, one that runs and one pipelined behind it.
  struct owed {
    std::vector<generation_ptr> generations;
    std::vector<request_handle_t> hung;
  };
  std::unordered_map<restinio::connection_id_t, owed> owed_;
  std::unordered_map<restinio::connection_id_t, websocket::ws_handle_t> web_sockets_;
};

const std::array<server::inference_route, 13> server::inference_routes{{
    {"/v1/chat/completions", route::chat},
    {"/v1/completions", route::completions},
    {"/v1/embeddings", route::embeddings},
    {"/v1/messages", route::messages},
    {"/v1/messages/count_tokens", route::count_tokens},
    {"/v1/responses", route::responses},
    {"/v1/rerank", route::rerank},
    {"/v1/score", route::score},
    {"/infill", route::infill},
    {"/api/chat", route::ollama_chat},
    {"/api/generate", route::ollama_generate},
    {"/api/embed", route::ollama_embed},
    {"/api/embeddings", route::ollama_embeddings},
}};

const std::array<server::route_entry, 5> server::routes{{
    {"/apply-template", restinio::http_method_post(), &server::apply_template},
    {"/slots", restinio::http_method_get(), &server::slots},
    {"/v1/models", restinio::http_method_get(), &server::models},
    {"/health", restinio::http_method_get(), &server::health},
    {"/metrics", restinio::http_method_get(), &server::metrics},
}};

void server::start() {
  arm_signals();
  arm_timed_fault();
  if (options_.load_mode == load_mode::unavailable) open();
  load_timer_.expires_after(from_seconds(options_.load_time_s));
  load_timer_.async_wait([this](const auto& error) {
    if (error) return;
    loaded_ = true;
    if (options_.load_mode == load_mode::refuse) open();
  });
}

void server::open() {
  std::uint16_t port = options_.port;
  http_ = std::make_unique<restinio::http_server_t<sim_traits>>(
      restinio::external_io_context(io_), [&](auto& settings) {
        settings.port(options_.port)
            .address(options_.host)
            .max_pipelined_requests(2)
            .max_parallel_connections(options_.threads > 0 ? options_.threads : max_connections)
            .incoming_http_msg_limits(restinio::incoming_http_msg_limits_t{}
                                          .max_url_size(8192)
                                          .max_field_name_size(1024)
                                          .max_field_value_size(32 * 1024)
                                          .max_field_count(100)
                                          .max_body_size(2 * options_.body_limit))
            .read_next_http_message_timelimit(std::chrono::seconds(75))
            .write_http_response_timelimit(std::chrono::seconds(60))
            .handle_request_timeout(std::chrono::hours(24))
            .socket_options_setter(
                [this](auto& o) { o.set_option(asio::ip::tcp::no_delay(!options_.nagle)); })
            .acceptor_post_bind_hook([&](auto& a) { port = a.local_endpoint().port(); })
            .connection_state_listener(std::make_shared<connection_listener>(
                meters_.connections, [this](auto id) { connection_closed(id); }))
            .request_handler([this](request_handle_t request) {
              // Posted, because an answer from inside the handler fails with pipelining clients.
              asio::post(io_, [this, request = std::move(request)] { dispatch(request); });
              return restinio::request_accepted();
            });
      });
  http_->open_sync();
  fmt::print("Signalbox simulated runtime: model {} on {}:{} (a simulation, no model inside)\n",
             options_.model, options_.host, port);
  std::fflush(stdout);
}

// Arms the first fault given at the start that comes by itself; further ones are ignored.
void server::arm_timed_fault() {
  const auto& faults = options_.faults;
  for (const auto f : {fault::crash_after_start, fault::segfault, fault::oom}) {
    if (!faults.has(f)) continue;
    fault_timer_.expires_after(from_seconds(faults.argument(f)));
    fault_timer_.async_wait([&faults](const auto& error) {
      if (error) return;
      die_if_told(faults);
      std::fputs("error: simulated crash\n", stderr);
      std::abort();
    });
    return;
  }
}

void server::arm_signals() {
  signals_.add(SIGINT);
  if (options_.faults.has(fault::ignore_term)) {
    std::signal(SIGTERM, SIG_IGN);
  } else {
    signals_.add(SIGTERM);
  }
  signals_.async_wait([this](const auto& error, int number) {
    if (error) return;
    if (number == SIGTERM && options_.faults.has(fault::abort_on_term)) std::abort();
    io_.stop();
  });
}

void server::connection_closed(restinio::connection_id_t id) {
  const auto found = owed_.find(id);
  if (found == owed_.end()) return;
  const auto gone = std::move(found->second);
  owed_.erase(found);
  for (const auto& generation : gone.generations) generation->client_left();
}

void server::answer(const request_handle_t& request, std::uint16_t status, std::string body,
                    const char* content_type, const char* allow) {
  if (request->header().method() == restinio::http_method_head()) body.clear();
  auto response = request->create_response(restinio::http_status_line_t{
      restinio::http_status_code_t{status}, status < 300 ? "OK" : "Refused"});
  response.append_header(restinio::http_field::content_type, content_type);
  if (allow) response.append_header(restinio::http_field::allow, allow);
  response.connection_keep_alive().set_body(std::move(body)).done();
}

void server::dispatch(const request_handle_t& request) {
  const auto path = request->header().path();
  const auto method = request->header().method();
  for (const auto& entry : inference_routes) {
    if (entry.path != path) continue;
    if (method == restinio::http_method_post()) return infer(request, entry.which);
    return refuse_method(request, "POST");
  }
  for (const auto& entry : routes) {
    if (entry.path != path) continue;
    if (entry.method == method) return (this->*entry.handle)(request);
    return refuse_method(request, entry.method.c_str());
  }
  if (!answer_raw(request)) refuse(request, {404, "no such route", "not_found"});
}

// What is below some path, or has several methods.
bool server::answer_raw(const request_handle_t& request) {
  const auto& header = request->header();
  const std::string_view path(header.path().data(), header.path().size());
  const std::string_view query(header.query().data(), header.query().size());
  if (path == "/echo" || path.starts_with("/echo/")) {
    answer(request, 200, echo_body(request));
  } else if (path == "/ws" && header.has_field(restinio::http_field::sec_websocket_key)) {
    echo_messages(request);
  } else if (path == "/props") {
    answer(request, 200, props_body(options_));
  } else if (path.starts_with("/slots/") && header.method() == restinio::http_method_post()) {
    answer(request, 200, slot_action_body(path, query));
  } else {
    return false;
  }
  return true;
}

// Sends each message back.
void server::echo_messages(const request_handle_t& request) {
  using websocket::opcode_t;
  const auto take = [this](const websocket::ws_handle_t& socket,
                           const websocket::message_handle_t& message) {
    if (message->opcode() == opcode_t::connection_close_frame) {
      web_sockets_.erase(socket->connection_id());
    } else if (message->opcode() == opcode_t::ping_frame) {
      message->set_opcode(opcode_t::pong_frame);
      socket->send_message(*message);
    } else if (message->opcode() != opcode_t::pong_frame) {
      socket->send_message(*message);
    }
  };
  auto socket = websocket::upgrade<sim_traits>(*request, websocket::activation_t::immediate, take);
  web_sockets_.emplace(socket->connection_id(), std::move(socket));
}

void server::apply_template(const request_handle_t& request) {
  auto body = template_body(request->body());
  if (body.empty()) return refuse(request, {400, "messages must be a list", "invalid_value"});
  answer(request, 200, std::move(body));
}

void server::infer(const request_handle_t& request, route which) {
  const auto spoken = dialect_of(which);
  if (!loaded_) return refuse(request, {503, "the model is loading", "loading"}, spoken);
  if (request->body().size() > options_.body_limit) {
    return refuse(request, {413, "the body is too large", "body_too_large"}, spoken);
  }
  fault_set asked;
  const auto header = request->header().opt_value_of("x-sim-fault");
  if (header && options_.request_faults) {
    if (const auto problem = asked.add(*header, true)) {
      return refuse(request, {400, *problem, "invalid_fault"}, spoken);
    }
  }
  die_if_told(asked);
  auto faults = options_.faults.with(asked);
  if (misbehave(request, faults, spoken)) return;
  auto parsed = parse_request(which, request->body(), options_);
  if (const auto* error = std::get_if<api_error>(&parsed)) return refuse(request, *error, spoken);
  if (slots_.full()) {
    return refuse(request, {503, "too many requests wait", "overloaded"}, spoken);
  }
  meters_.requests.Increment();
  auto running =
      std::make_shared<generation>(io_, request, std::move(std::get<inference_request>(parsed)),
                                   std::move(faults), options_, slots_, meters_);
  auto& kept = owed_[request->connection_id()].generations;
  std::erase_if(kept, [](const auto& other) { return other->over(); });
  kept.push_back(running);
  slots_.enter(running);
}

// Carries out faults that need no generation. Returns true if that answered the request.
bool server::misbehave(const request_handle_t& request, const fault_set& faults, dialect spoken) {
  if (faults.has(fault::hang)) {
    owed_[request->connection_id()].hung.push_back(request);
    return true;
  }
  if (faults.has(fault::garbage)) {
    send_raw_and_cut(request->remote_endpoint(), "\x16\x03\x01 this is not HTTP\n\n");
    return true;
  }
  if (faults.has(fault::status)) {
    const auto status = static_cast<std::uint16_t>(faults.argument(fault::status));
    refuse(request, {status, "a simulated error", "simulated"}, spoken);
    return true;
  }
  return false;
}

void server::models(const request_handle_t& request) {
  answer(request, 200, models_body(options_));
}

void server::health(const request_handle_t& request) {
  const auto reply = [this, request] {
    answer(request, loaded_ ? 200 : 503, health_body(options_, loaded_));
  };
  if (!options_.faults.has(fault::slow_health)) return reply();
  auto timer = std::make_shared<asio::steady_timer>(io_);
  timer->expires_after(from_seconds(options_.faults.argument(fault::slow_health)));
  timer->async_wait([reply, timer](const auto&) { reply(); });
}

void server::metrics(const request_handle_t& request) {
  answer(request, 200, meters_.text(), "text/plain; version=0.0.4");
}

}  // namespace

int run_server(const sim_options& options) {
  asio::io_context io(1);
  server s(io, options);
  try {
    s.start();
    io.run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
  // Running requests are cut off by the end of the process: there is nothing to save.
  std::fflush(nullptr);
  std::_Exit(0);
}

}  // namespace signalbox::sim
