#include "commands/lease.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "commands/gateway_client.hpp"
#include "commands/leased_command.hpp"
#include "scheduling/types.hpp"
#include "text/rfc3339.hpp"

namespace signalbox::commands {
namespace {

using nlohmann::json;
using lease_clock = std::chrono::steady_clock;

constexpr int too_late_status = 75;  // EX_TEMPFAIL: another time it may work
constexpr int poll_wait_s = 20;      // of one question; the client's bound is 30 s
constexpr int last_patience_ms = 2000;
constexpr int killed_gap_ms = 20;  // between two looks whether a killed command is gone
constexpr auto retry_gap = std::chrono::seconds(1);
constexpr auto longest_warning = std::chrono::seconds(5);
constexpr int passed_on[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};

const std::map<std::string, int> yield_signals{{"TERM", SIGTERM}, {"INT", SIGINT},
                                               {"HUP", SIGHUP},   {"QUIT", SIGQUIT},
                                               {"USR1", SIGUSR1}, {"USR2", SIGUSR2}};

struct lease_options {
  std::string memory, work = "batch", reason, yield_signal = "TERM";
  std::uint32_t gpus = 0;
  bool all = false;
  double ttl_s = 60;
  std::optional<double> wait_s;  // nothing: as long as it takes
  std::vector<std::string> command;
};

void say(const std::string& text) {
  std::cerr << "signalbox lease: " << text << std::endl;
}

// One request at a time on a thread of its own, because a gateway that hangs must not keep us from
// passing signals on. At our end the thread is left alone.
class question {
 public:
  struct outcome {
    std::optional<gateway_answer> answer;  // nothing: see `problem`
    std::string problem;
    time_point asked_at{};
  };

  explicit question(const gateway_client& gateway) : gateway_(gateway) {}
  question(const question&) = delete;
  ~question() {  // mostly it has its answer in no time
    pollfd look{descriptor(), POLLIN, 0};
    if (is_open_) poll(&look, 1, last_patience_ms);
  }

  int descriptor() const { return shared_->done.get(); }  // readable when it is answered
  bool is_open() const { return is_open_; }

  void ask(const std::string& method, const std::string& path, const std::string& body = {}) {
    is_open_ = true;
    std::thread([=, gateway = gateway_, shared = shared_, asked_at = lease_clock::now()] {
      outcome result;
      result.asked_at = asked_at;
      try {
        result.answer = gateway.send(method, path, body);
      } catch (const std::exception& e) {
        result.problem = e.what();
      }
      const std::lock_guard lock(shared->mutex);
      shared->result = std::move(result);
      eventfd_write(shared->done.get(), 1);
    }).detach();
  }

  // Once the descriptor is readable.
  outcome take() {
    eventfd_t count = 0;
    eventfd_read(shared_->done.get(), &count);
    is_open_ = false;
    const std::lock_guard lock(shared_->mutex);
    return std::move(shared_->result);
  }

 private:
  struct shared_state {
    unique_fd done{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    std::mutex mutex;
    outcome result;
  };
  const gateway_client& gateway_;
  std::shared_ptr<shared_state> shared_ = std::make_shared<shared_state>();
  bool is_open_ = false;
};

// From the request for the lease to the end of the command.
class leased_run {
 public:
  leased_run(const gateway_client& gateway, const lease_options& options)
      : gateway_(gateway), options_(options), renewal_(gateway) {
    sigset_t all;
    sigemptyset(&all);
    for (const int number : passed_on) sigaddset(&all, number);
    sigprocmask(SIG_BLOCK, &all, nullptr);
    signals_ = unique_fd(signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
    command_.emplace(options.command);  // before there is another thread
  }

  int run() {
    try {
      return run_command();
    } catch (const std::exception&) {
      command_.reset();
      if (!path_.empty()) release();
      throw;
    }
  }

 private:
  int run_command() {
    request();
    if (const auto status = await_grant()) return *status;
    start();
    while (!command_->status()) {
      wait_for_something();
      pass_signals_on();
      if (renewal_.is_open() && is_readable(renewal_.descriptor())) on_renewed(renewal_.take());
      keep_time();
    }
    release();
    return *command_->status();
  }

  void request() {
    json body{{"class", options_.work}, {"ttl_s", options_.ttl_s}, {"reason", options_.reason}};
    if (!options_.memory.empty()) body["memory"] = options_.memory;
    if (options_.gpus > 0) body["gpus"] = options_.gpus;
    if (options_.all) body["all"] = true;
    if (gateway_.is_local()) body["pid"] = command_->pid();
    const auto answer = gateway_.send("POST", "/v1/leases?wait=1", body.dump());
    if (answer.status != 201 && answer.status != 202) {
      throw std::runtime_error(error_text(answer));
    }
    lease_ = json::parse(answer.body);
    path_ = "/v1/leases/" + lease_.at("id").get<std::string>();
  }

  // Returns our exit status when there will be no grant.
  std::optional<int> await_grant() {
    const auto began = lease_clock::now();
    bool has_said = false;
    while (lease_.at("state") != "granted") {
      if (lease_.at("state") != "waiting") {
        throw std::runtime_error("the lease has ended: " + lease_.at("end").get<std::string>());
      }
      if (!std::exchange(has_said, true)) {
        say(fmt::format("{} waits for GPU memory", lease_.at("id").get<std::string>()));
      }
      if (options_.wait_s && lease_clock::now() - began >= from_seconds(*options_.wait_s)) {
        say("the wait is over, and the memory is not free");
        release();
        return too_late_status;
      }
      if (const auto number = ask_while_waiting(began)) {
        release();
        return 128 + *number;
      }
    }
    return std::nullopt;
  }

  // Asks once; returns the signal that ended it.
  std::optional<int> ask_while_waiting(time_point began) {
    double wait_s = std::min<double>(poll_wait_s, options_.ttl_s / 2);
    if (options_.wait_s) {
      const std::chrono::duration<double> waited = lease_clock::now() - began;
      wait_s = std::clamp(*options_.wait_s - waited.count(), 0.0, wait_s);
    }
    renewal_.ask("GET", fmt::format("{}?wait={:.3f}", path_, wait_s));
    for (;;) {
      wait_for_something();
      signalfd_siginfo info{};
      while (read(signals_.get(), &info, sizeof info) == sizeof info) {
        const int number = static_cast<int>(info.ssi_signo);
        if (number != SIGWINCH) return number;
      }
      if (command_->status()) throw std::runtime_error("its process was killed while it waited");
      if (is_readable(renewal_.descriptor())) break;
    }
    const auto outcome = renewal_.take();
    if (!outcome.answer) throw std::runtime_error(outcome.problem);
    if (outcome.answer->status != 200) throw std::runtime_error(error_text(*outcome.answer));
    lease_ = json::parse(outcome.answer->body);
    return std::nullopt;
  }

  // The grant may be some time old; a renewal says from when on the TTL counts.
  void start() {
    token_ = json{{"token", lease_.at("token")}}.dump();
    const auto asked_at = lease_clock::now();
    const auto answer = gateway_.send("POST", path_ + "/renew", token_);
    if (answer.status != 200) throw std::runtime_error(error_text(answer));
    renewed(json::parse(answer.body), asked_at);
    const auto devices = visible_devices();
    say(fmt::format("{} is granted: GPU {}", lease_.at("id").get<std::string>(), devices));
    command_->execute({"CUDA_VISIBLE_DEVICES=" + devices,
                       "SIGNALBOX_LEASE_ID=" + lease_.at("id").get<std::string>(),
                       "SIGNALBOX_LEASE_TOKEN=" + lease_.at("token").get<std::string>()});
  }

  // UUIDs, where all are known: they do not depend on the order of the GPUs.
  std::string visible_devices() const {
    std::vector<std::string> uuids, indexes;
    for (const auto& gpu : lease_.at("gpus")) {
      indexes.push_back(std::to_string(gpu.at("index").get<std::uint32_t>()));
      if (gpu.at("uuid").is_string()) uuids.push_back(gpu.at("uuid"));
    }
    const auto& names = uuids.size() == indexes.size() ? uuids : indexes;
    return fmt::format("{}", fmt::join(names, ","));
  }

  void renewed(const json& lease, time_point asked_at) {
    lease_ = lease;
    is_away_ = is_warned_ = false;
    ends_at_ = asked_at + from_seconds(options_.ttl_s);
    renew_at_ = asked_at + from_seconds(options_.ttl_s / 3);
    if (!lease.at("yield_requested").get<bool>()) return;
    const auto allowed = ends_at_ + time_between(lease.at("expires_at"), lease.at("yield_by"));
    yield_by_ = std::min(yield_by_, allowed);
    if (std::exchange(is_yielding_, true)) return;
    say(fmt::format(
        "asked to give the GPU back within {} s: sending SIG{}",
        std::chrono::duration_cast<std::chrono::seconds>(yield_by_ - lease_clock::now()).count(),
        options_.yield_signal));
    command_->signal(yield_signals.at(options_.yield_signal));
  }

  // By the gateway's clock. In whole seconds, and not the last one: the command must be gone then.
  static std::chrono::seconds time_between(const std::string& from, const std::string& to) {
    const auto whole = [](const std::string& text) {
      return parse_rfc3339(text.substr(0, text.find('.')) + "Z").value();
    };
    return std::chrono::duration_cast<std::chrono::seconds>(whole(to) - whole(from)) -
           std::chrono::seconds(1);
  }

  void on_renewed(const question::outcome& outcome) {
    const bool has_answer = outcome.answer && outcome.answer->status < 500;
    if (has_answer && outcome.answer->status == 200) {
      if (std::exchange(is_away_, false)) say("the gateway answers again");
      return renewed(json::parse(outcome.answer->body), outcome.asked_at);
    }
    if (has_answer && outcome.answer->status != 429) {
      say("the lease is lost: " + error_text(*outcome.answer) + " Killing the command");
      return command_->signal(SIGKILL);
    }
    renew_at_ = lease_clock::now() + retry_gap;
    if (std::exchange(is_away_, true)) return;
    say((outcome.answer ? error_text(*outcome.answer) : outcome.problem) +
        "; the command goes on until the lease's time is over");
  }

  // Renews, and ends a command that has no lease any more.
  void keep_time() {
    const auto now = lease_clock::now();
    if (now >= std::min(ends_at_, yield_by_)) {
      if (!std::exchange(is_killed_, true)) say("the lease is over: killing the command");
      return command_->signal(SIGKILL);
    }
    if (now >= warn_at() && !std::exchange(is_warned_, true) && !is_yielding_) {
      say("the lease was not renewed and is nearly over: sending SIG" + options_.yield_signal);
      command_->signal(yield_signals.at(options_.yield_signal));
    }
    if (now >= renew_at_ && !renewal_.is_open()) {
      renewal_.ask("POST", path_ + "/renew", token_);
      renew_at_ = ends_at_;
    }
  }

  time_point warn_at() const {
    return ends_at_ - std::min<duration>(longest_warning, from_seconds(options_.ttl_s / 4));
  }

  void pass_signals_on() {
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof info) == sizeof info) {
      command_->signal(static_cast<int>(info.ssi_signo));
    }
  }

  void wait_for_something() {
    auto next = std::min({ends_at_, yield_by_, renew_at_});
    if (!is_warned_) next = std::min(next, warn_at());
    const auto now = lease_clock::now();
    const auto rest = std::chrono::ceil<std::chrono::milliseconds>(
        std::clamp<duration>(next - now, duration::zero(), std::chrono::seconds(60)));
    pollfd look[] = {{signals_.get(), POLLIN, 0},
                     {command_->end_descriptor(), POLLIN, 0},
                     {renewal_.is_open() ? renewal_.descriptor() : -1, POLLIN, 0}};
    const auto rest_ms = static_cast<int>(rest.count());
    poll(look, 3, is_killed_ ? std::max(rest_ms, killed_gap_ms) : rest_ms);
  }

  static bool is_readable(int descriptor) {
    pollfd look{descriptor, POLLIN, 0};
    return poll(&look, 1, 0) > 0;
  }

  // All that the command ran is gone.
  void release() {
    try {
      const auto answer = gateway_.send("DELETE", path_);
      if (answer.status != 200) say("the lease was not released: " + error_text(answer));
    } catch (const std::exception& e) {
      say(std::string("the lease was not released: ") + e.what());
    }
  }

  const gateway_client& gateway_;
  const lease_options& options_;
  unique_fd signals_;
  std::optional<leased_command> command_;
  question renewal_;
  json lease_;
  std::string path_, token_;
  // While it waits, nothing is due.
  time_point ends_at_ = never, renew_at_ = never, yield_by_ = never;
  bool is_away_ = false, is_yielding_ = false, is_killed_ = false, is_warned_ = false;
};

void add_options(CLI::App& command, lease_options& o) {
  auto* need = command.add_option_group("need", "Exactly one of these");
  need->add_option("--memory", o.memory, "Memory of one GPU, such as 20GiB");
  need->add_option("--gpus", o.gpus, "Whole GPUs")->check(CLI::Range(1, 64));
  need->add_flag("--all", o.all, "All GPUs");
  need->require_option(1);
  command.add_option("--class", o.work, "realtime, batch, eval or training; default: batch")
      ->check(CLI::IsMember({"realtime", "batch", "eval", "training"}));
  command.add_option("--reason", o.reason, "For people who look at the list of leases");
  command.add_option("--ttl", o.ttl_s, "Seconds that the lease lasts without us, 5 to 3600")
      ->check(CLI::Range(5.0, 3600.0));
  command
      .add_option("--yield-signal", o.yield_signal,
                  "Sent when the lease is asked back: TERM (default), INT, HUP, QUIT, USR1, USR2")
      ->check(CLI::IsMember({"TERM", "INT", "HUP", "QUIT", "USR1", "USR2"}));
  command.add_option("--wait", o.wait_s, "Seconds to wait for the lease; default: as it takes")
      ->check(CLI::NonNegativeNumber);
  command.add_option("command", o.command, "The command and its arguments, after --")->required();
}

}  // namespace

std::function<std::optional<int>()> add_lease(CLI::App& app,
                                              std::function<std::string()> data_dir) {
  auto* command = app.add_subcommand(
      "lease", "Run a command that has GPU memory under a lease: lease --memory 20GiB -- CMD …");
  auto options = std::make_shared<lease_options>();
  add_options(*command, *options);
  const gateway_client gateway(*command, std::move(data_dir));
  return [=]() -> std::optional<int> {
    if (!command->parsed()) return std::nullopt;
    return leased_run(gateway, *options).run();
  };
}

}  // namespace signalbox::commands
