#include "tests/runtimes/support.hpp"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <cstdlib>
#include <filesystem>
#include <iterator>

#include "runtimes/launch.hpp"
#include "system/pidfd.hpp"
#include "system/process_table.hpp"

namespace signalbox::runtimes::testing {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

http::request<http::string_body> make_request(const call& c) {
  http::request<http::string_body> request(c.body.empty() ? http::verb::get : http::verb::post,
                                           c.target, 11);
  request.set(http::field::host, "127.0.0.1");
  if (!c.fault.empty()) request.set("x-sim-fault", c.fault);
  request.body() = c.body;
  request.prepare_payload();
  return request;
}

}  // namespace

event_callback event_log::callback() {
  return [state = state_](runtime_event event) {
    const std::lock_guard lock(state->mutex);
    state->events.push_back(std::move(event));
    state->changed.notify_all();
  };
}

std::vector<runtime_event> event_log::all() const {
  const std::lock_guard lock(state_->mutex);
  return state_->events;
}

std::string event_log::order() const {
  constexpr const char* names[] = {"spawned", "ready", "checked", "exited", "released"};
  std::string result;
  for (const auto& event : all()) {
    result += (result.empty() ? "" : " ") + std::string(names[event.index()]);
  }
  return result;
}

const std::string& own_folder() {
  struct folder {
    std::string path = (std::filesystem::temp_directory_path() / "signalbox-XXXXXX").string();
    folder() {
      if (!mkdtemp(path.data())) throw std::runtime_error("cannot make " + path);
    }
    ~folder() { std::filesystem::remove_all(path); }
  };
  static const folder own;
  return own.path;
}

std::unique_ptr<runtime_driver> make_driver(const std::string& program_dir,
                                            const std::string& data_dir) {
  return make_runtime_driver({.data_dir = data_dir, .program_dir = program_dir});
}

config::model_options sim_model(const std::string& program_dir,
                                std::vector<std::string> more_arguments) {
  config::model_options model;
  model.name = "demo";
  model.command = {program_dir + "/signalbox-sim-runtime", "--port", "{port}", "--model",
                   "{model}"};
  model.command.insert(model.command.end(), more_arguments.begin(), more_arguments.end());
  return model;
}

run_request request_of(std::uint64_t incarnation, duration start_timeout) {
  run_request request;
  request.incarnation = incarnation;
  request.start_timeout = start_timeout;
  return request;
}

watched_process::watched_process(pid_t pid) : pid_(pid), pidfd_(open_pidfd(pid)) {}

bool watched_process::wait_until_gone() const {
  return wait_for_end(pidfd_, patience);
}

pid_t parent_of(pid_t pid) {
  const auto found = look_at(pid);
  return found ? found->parent : -1;
}

std::vector<pid_t> marked_processes(const std::string& part) {
  const auto is_marked = [&](const process& p) {
    return environment_value(p.pid, run_marker).find(part) != std::string::npos;
  };
  std::vector<pid_t> result;
  for (const auto& p : find_processes(is_marked)) result.push_back(p.pid);
  std::sort(result.begin(), result.end());
  return result;
}

std::size_t open_files() {
  const std::filesystem::directory_iterator first("/proc/self/fd"), end;
  return static_cast<std::size_t>(std::distance(first, end));
}

http_client::http_client(std::uint16_t port) : stream_(io_) {
  stream_.expires_after(patience);
  beast::error_code result;
  stream_.async_connect(asio::ip::tcp::endpoint(asio::ip::address_v4::loopback(), port),
                        [&](const auto& error) { result = error; });
  run();
  if (result) throw std::runtime_error("connect: " + result.message());
}

void http_client::write(const call& c) {
  const auto request = make_request(c);
  stream_.expires_after(c.timeout);
  beast::error_code result;
  http::async_write(stream_, request, [&](const auto& error, std::size_t) { result = error; });
  run();
  if (result) throw std::runtime_error("write: " + result.message());
}

std::string http_client::read_some() {
  std::string data(4096, '\0');
  std::size_t got = 0;
  stream_.async_read_some(asio::buffer(data), [&](const auto&, std::size_t size) { got = size; });
  run();
  data.resize(got);
  return data;
}

reply http_client::send(const call& c) {
  write(c);
  http::response_parser<http::string_body> parser;
  parser.body_limit(64u << 20);
  reply result;
  http::async_read(stream_, buffer_, parser,
                   [&](const auto& error, std::size_t) { result.error = error; });
  run();
  result.response = std::move(parser.get());
  return result;
}

reply send_once(std::uint16_t port, const call& c) {
  return http_client(port).send(c);
}

double metric(std::uint16_t port, const std::string& name) {
  std::istringstream lines(send_once(port, {.target = "/metrics"}).body());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(name + " ")) return std::stod(line.substr(name.size() + 1));
  }
  throw std::runtime_error("no metric " + name);
}

void wait_for_metric(std::uint16_t port, const std::string& name, double value) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (metric(port, name) != value) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("no change: " + name);
  }
}

}  // namespace signalbox::runtimes::testing
