#include "runtimes/process_driver.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <system_error>
#include <utility>

#include "config/load.hpp"
#include "config/programs.hpp"
#include "runtimes/exit_report.hpp"
#include "runtimes/guard_protocol.hpp"
#include "runtimes/leftovers.hpp"
#include "system/children.hpp"
#include "system/pidfd.hpp"

namespace signalbox::runtimes {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using clock = std::chrono::steady_clock;

constexpr const char* local_address = "127.0.0.1";
constexpr duration probe_gap = 5ms;      // between the end of a probe and the next one
constexpr duration max_probe_gap = 8ms;  // while a runtime answers slowly or not yet
constexpr duration local_probe_timeout = 2s;
constexpr duration clean_up_gap = 10ms;  // at first, and before the look that is to prove the end
constexpr duration max_clean_up_gap = 1s;
constexpr duration unwatched_patience = 10s;     // until the log tells that a guard does not end
constexpr std::size_t output_turn = 256 * 1024;  // bytes read in one turn of the loop

// Takes a descriptor over, which is closed when that fails.
void own(asio::posix::stream_descriptor& owner, unique_fd fd) {
  owner.assign(fd.get());
  fd.release();
}

}  // namespace

process_run::process_run(asio::io_context& io, port_pool& ports, const oom_watch& ooms,
                         const driver_options& options, std::string run_id,
                         const config::model_options& model, run_request request,
                         event_callback on_event)
    : run(io, model, request, std::move(on_event)),
      ports_(ports),
      ooms_(ooms),
      options_(options),
      output_file_(runtime_log_path(options.data_dir, model.name)),
      log_([this](const std::string& line) {
        spdlog::debug("[{}] {}", model_.name, line);
        output_file_.add(line);
      }),
      run_id_(std::move(run_id)),
      guard_(io),
      control_(io),
      output_(io),
      start_timer_(io),
      timer_(io),
      clean_up_gap_(clean_up_gap) {}

void process_run::begin() {
  try {
    launch();
  } catch (const std::exception& error) {
    never_started(fmt::format("cannot start the guard: {}", error.what()));
    // A guard that cannot be watched ends as it sees its socket closed.
    close_all();
    guard_due_at_ = clock::now() + unwatched_patience;
    await_guard();
  }
}

void process_run::launch() {
  const auto path = config::program_path(config::process_environment());
  const auto wanted = model_.command.empty() ? std::string() : model_.command.front();
  const auto program = config::find_program(wanted, options_.program_dir, path);
  if (!program) {
    never_started(fmt::format("command not found: {}", wanted),
                  "Install the program, or write its whole path in the model's command.");
    return release();
  }
  port_ = ports_.take();
  auto arguments = make_arguments(model_, port_, options_.data_dir);
  arguments.front() = *program;
  auto guard = spawn_guard(options_.program_dir + "/signalbox-guard", std::move(arguments),
                           make_environment(model_, request_, run_id_));
  guard_pid_ = guard.pid;
  own(control_, std::move(guard.control));
  own(output_, std::move(guard.output));
  auto pidfd = open_pidfd(guard_pid_);
  if (pidfd.get() < 0) throw std::system_error(errno, std::generic_category(), "pidfd_open");
  own(guard_, std::move(pidfd));
  on_readable(guard_, &process_run::guard_ended);
  on_readable(control_, &process_run::control_readable);
  on_readable(output_, &process_run::output_readable);
  after(start_timer_, request_.start_timeout, &process_run::start_timed_out);
}

void process_run::never_started(const std::string& why, std::string cure) {
  tell_exited(stop_asked_ ? scheduling::exit_reason::asked : scheduling::exit_reason::start_failed,
              why, {}, std::move(cure));
}

// Ends a run whose guard may still be there and is not watched. A tree that cannot be killed keeps
// its guard, and its lease, for as long as that is so; the loop goes on for all others.
void process_run::await_guard() {
  if (guard_pid_ < 0) return release();
  if (has_ended(guard_pid_)) return guard_ended();
  if (clock::now() >= guard_due_at_) {
    guard_due_at_ = never;
    spdlog::error("model {}: its guard does not end, its memory stays taken", model_.name);
  }
  after(timer_, clean_up_gap_, &process_run::await_guard);
  clean_up_gap_ = std::min(2 * clean_up_gap_, max_clean_up_gap);
}

void process_run::on_readable(asio::posix::stream_descriptor& fd, handler then) {
  fd.async_wait(asio::posix::stream_descriptor::wait_read,
                [self = self_as<process_run>(), &fd, then](const auto& error) {
                  if (!error && fd.is_open() && !self->released()) (self.get()->*then)();
                });
}

void process_run::after(asio::steady_timer& timer, duration delay, handler then) {
  timer.expires_after(delay);
  timer.async_wait([self = self_as<process_run>(), then](const auto& error) {
    if (!error && !self->released()) (self.get()->*then)();
  });
}

void process_run::output_readable() {
  if (read_output()) on_readable(output_, &process_run::output_readable);
}

// Returns false when the last writer is gone.
bool process_run::read_output() {
  const bool goes_on = read_output_turn();
  output_file_.write();
  return goes_on;
}

bool process_run::read_output_turn() {
  std::array<char, 16 * 1024> buffer;
  for (std::size_t total = 0; total < output_turn;) {
    const auto size = ::read(output_.native_handle(), buffer.data(), buffer.size());
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    if (size == 0) return false;
    log_.add({buffer.data(), static_cast<std::size_t>(size)});
    total += static_cast<std::size_t>(size);
  }
  return true;
}

void process_run::control_readable() {
  if (read_control()) on_readable(control_, &process_run::control_readable);
}

// Returns false when the guard is gone.
bool process_run::read_control() {
  for (;;) {
    guard_message message{};
    const auto size = recv(control_.native_handle(), &message, sizeof message, MSG_DONTWAIT);
    if (size < 0) return errno == EAGAIN || errno == EINTR;
    if (size != sizeof message) return false;
    switch (message.word) {
      case guard_word::spawned:
        tell_spawned(message.value);
        probe();
        break;
      case guard_word::exec_failed:
        exec_error_ = std::strerror(message.value);
        break;
      case guard_word::exited:
        main_ended(message.value);
        break;
      case guard_word::stop:
        break;
    }
  }
}

void process_run::main_ended(std::optional<int> wait_status) {
  if (exited()) return;
  read_output();  // its last output is in the pipe by now
  log_.end();
  output_file_.write();
  start_timer_.cancel();
  timer_.cancel();
  auto lines = log_.lines();
  const bool is_overdue = clock::now() >= kill_at_;
  const auto report = explain_exit({.stop_asked = stop_asked_,
                                    .overstayed_grace = is_overdue ? grace_ : duration::zero(),
                                    .start_timed_out = start_timed_out_,
                                    .was_ready = ready(),
                                    .start_timeout = request_.start_timeout,
                                    .wait_status = wait_status,
                                    .kernel_killed = ooms_.has_killed(),
                                    .last_probe = last_probe_,
                                    .log_tail = lines});
  tell_exited(report.reason, report.detail, std::move(lines), report.cure);
}

void process_run::guard_ended() {
  read_control();  // its last messages
  if (exec_error_) {
    never_started(fmt::format("cannot run {}: {}", model_.command.front(), *exec_error_));
  }
  main_ended(std::nullopt);
  if (wait_for_exit(guard_pid_)) {
    release();  // the guard ends by itself only when the tree is gone
  } else {
    spdlog::warn("the guard of model {} was killed; looking for what it left", model_.name);
    clean_up();
  }
}

// What the guard was the parent of is our child now. A process that has just been adopted may be in
// no list yet, so that one look which finds nothing does not prove that nothing is left.
void process_run::clean_up() {
  bool finds_nothing = false;
  try {
    finds_nothing = kill_leftovers(run_id_, guard_pid_) + end_adopted() == 0;
  } catch (const std::system_error& e) {
    if (!std::exchange(told_blind_, true)) {
      spdlog::error("model {}: what its guard left cannot be seen, its memory stays taken: {}",
                    model_.name, e.what());
    }
  }
  if (std::exchange(found_nothing_, finds_nothing) && finds_nothing) return release();
  after(timer_, finds_nothing ? clean_up_gap : clean_up_gap_, &process_run::clean_up);
  clean_up_gap_ = std::min(2 * clean_up_gap_, max_clean_up_gap);
}

void process_run::close_all() {
  boost::system::error_code ignored;
  guard_.close(ignored);
  control_.close(ignored);
  output_.close(ignored);
  start_timer_.cancel();
  timer_.cancel();
}

// The guard, if there was one, has ended.
void process_run::release() {
  close_all();
  output_file_.close();  // before anybody hears that nothing is left of the run
  // Last, as long as its pid was needed.
  if (guard_pid_ > 0) wait_for_child(std::exchange(guard_pid_, -1), nullptr);
  if (port_ != 0) ports_.give_back(port_);
  tell_released();
}

void process_run::ask_health(std::function<void(const probe_result&)> on_result) {
  probe_http(
      io_,
      {.host = local_address, .port = port_, .path = model_.health_path, .api_key = model_.api_key},
      local_probe_timeout, std::move(on_result));
}

std::string process_run::explain(const probe_result& result) const {
  return explain_probe(fmt::format("GET {} on port {}", model_.health_path, port_), result,
                       local_probe_timeout);
}

void process_run::check() {
  if (exited() || !ready()) return;
  ask_health([self = self_as<process_run>()](const probe_result& result) {
    self->tell_checked(!is_bad_sign(result.outcome), self->explain(result));
  });
}

void process_run::probe() {
  if (exited() || stop_asked_ || start_timed_out_) return;
  ask_health([self = self_as<process_run>(), asked_at = clock::now()](const probe_result& result) {
    self->probed(result, asked_at);
  });
}

void process_run::probed(const probe_result& result, time_point asked_at) {
  if (exited() || stop_asked_ || start_timed_out_) return;
  if (result.outcome != probe_outcome::ok) {
    last_probe_ = explain(result);
    // A runtime that answers slowly is busy loading, so it is probed a little less often.
    return after(timer_, std::clamp(clock::now() - asked_at, probe_gap, max_probe_gap),
                 &process_run::probe);
  }
  start_timer_.cancel();
  tell_ready({0, local_address, local_address, port_});
}

void process_run::start_timed_out() {
  if (ready() || stop_asked_) return;
  start_timed_out_ = true;
  send_stop(duration::zero());
}

void process_run::stop(duration grace) {
  if (released()) return;
  if (!start_timed_out_) stop_asked_ = true;
  if (const auto end = clock::now() + grace; end < kill_at_) {
    kill_at_ = end;
    grace_ = grace;
  }
  send_stop(grace);
}

void process_run::send_stop(duration grace) {
  if (guard_pid_ < 0) return;
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(grace).count();
  const auto value = std::clamp<std::int64_t>(ms, 0, std::numeric_limits<std::int32_t>::max());
  const guard_message message{guard_word::stop, static_cast<std::int32_t>(value)};
  // Fails only when the guard is gone, which the pidfd reports.
  (void)!send(control_.native_handle(), &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace signalbox::runtimes
