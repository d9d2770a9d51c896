#include "tests/runtimes/support.hpp"

#include <dirent.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace signalbox::runtimes::testing {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();  // an iterator would throw when the process ends meanwhile
  return text.str();
}

template <typename Visit>
void each_entry(const std::string& directory, Visit visit) {
  DIR* handle = opendir(directory.c_str());
  if (!handle) throw std::runtime_error("cannot read " + directory);
  while (const dirent* entry = readdir(handle)) visit(std::string(entry->d_name));
  closedir(handle);
}

// state and parent of a process; nothing when it does not exist.
std::optional<std::pair<char, pid_t>> look_at(const std::string& pid) {
  const auto stat = read_file("/proc/" + pid + "/stat");
  const auto end = stat.rfind(')');
  if (end == std::string::npos) return std::nullopt;
  std::istringstream fields(stat.substr(end + 1));
  std::pair<char, pid_t> result{};
  fields >> result.first >> result.second;
  return result;
}

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
  constexpr const char* names[] = {"spawned", "ready", "exited", "released"};
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

watched_process::watched_process(pid_t pid)
    : pid_(pid), pidfd_(static_cast<int>(syscall(SYS_pidfd_open, pid, 0))) {}

bool watched_process::wait_until_gone() const {
  if (pidfd_.get() < 0) return true;  // it was gone before
  pollfd watched{pidfd_.get(), POLLIN, 0};
  const auto limit = std::chrono::milliseconds(patience).count();
  int result;
  do {
    result = poll(&watched, 1, static_cast<int>(limit));
  } while (result < 0 && errno == EINTR);
  return result == 1;
}

pid_t parent_of(pid_t pid) {
  const auto found = look_at(std::to_string(pid));
  return found ? found->second : -1;
}

std::vector<pid_t> marked_processes(const std::string& part) {
  std::vector<pid_t> result;
  each_entry("/proc", [&](const std::string& pid) {
    if (pid.find_first_not_of("0123456789") != std::string::npos) return;
    const auto state = look_at(pid);
    if (!state || state->first == 'Z' || state->first == 'X') return;
    std::istringstream environment(read_file("/proc/" + pid + "/environ"));
    for (std::string entry; std::getline(environment, entry, '\0');) {
      if (!entry.starts_with("SIGNALBOX_RUN=") || entry.find(part) == std::string::npos) continue;
      result.push_back(static_cast<pid_t>(std::stol(pid)));
    }
  });
  std::sort(result.begin(), result.end());
  return result;
}

std::size_t open_files() {
  std::size_t count = 0;
  each_entry("/proc/self/fd", [&](const std::string&) { ++count; });
  return count;
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
