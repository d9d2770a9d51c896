#include "runtimes/launch.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <boost/algorithm/string/replace.hpp>
#include <csignal>
#include <map>
#include <system_error>

#include "config/load.hpp"
#include "config/programs.hpp"
#include "runtimes/guard_protocol.hpp"

namespace signalbox::runtimes {
namespace {

[[noreturn]] void fail(int error, const char* what) {
  throw std::system_error(error, std::generic_category(), what);
}

int check(int result, const char* what) {
  if (result < 0) fail(errno, what);
  return result;
}

// Above the numbers that the child's descriptors get, so that no dup2 overwrites another's source.
unique_fd lift(unique_fd fd) {
  return unique_fd(check(fcntl(fd.get(), F_DUPFD_CLOEXEC, 10), "fcntl"));
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (auto& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// What posix_spawn needs to be told; frees itself.
struct spawn_plan {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;

  spawn_plan(int output, int control) {
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, output, 1);
    posix_spawn_file_actions_adddup2(&actions, output, 2);
    posix_spawn_file_actions_adddup2(&actions, control, guard_control_fd);
    posix_spawn_file_actions_addclosefrom_np(&actions, guard_control_fd + 1);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    // A session of its own: a Ctrl-C in the gateway's terminal is for the gateway to answer.
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }
  ~spawn_plan() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  spawn_plan(const spawn_plan&) = delete;
};

}  // namespace

std::vector<std::string> make_arguments(const config::model_options& model, std::uint16_t port,
                                        const std::string& data_dir) {
  auto arguments = model.command;
  const auto& name = model.upstream_model.empty() ? model.name : model.upstream_model;
  const std::array values{std::to_string(port), name, data_dir};
  static_assert(values.size() == config::placeholders.size());
  for (auto& argument : arguments) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      boost::replace_all(argument, config::placeholders[i], values[i]);
    }
  }
  return arguments;
}

std::vector<std::string> make_environment(const config::model_options& model,
                                          const run_request& request, const std::string& run_id) {
  const auto inherited = config::process_environment();
  std::map<std::string, std::string> variables;
  for (const char* name : {"PATH", "HOME", "LANG"}) {
    if (const auto value = inherited(name)) variables[name] = *value;
  }
  // Numbered as nvidia-smi does, and not by speed. Without a lease no card is to be seen.
  variables["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID";
  variables["CUDA_VISIBLE_DEVICES"] = request.needs_gpu ? std::to_string(request.gpu) : "";
  for (const auto& entry : model.environment) {
    const auto equals = std::min(entry.find('='), entry.size());
    variables[entry.substr(0, equals)] = entry.substr(std::min(equals + 1, entry.size()));
  }
  variables[run_marker] = run_id;
  std::vector<std::string> result;
  for (const auto& [name, value] : variables) result.push_back(name + "=" + value);
  return result;
}

guard_process spawn_guard(const std::string& guard_path, std::vector<std::string> arguments,
                          std::vector<std::string> environment) {
  int ends[2];
  check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  unique_fd control(ends[0]);
  const auto guard_control = lift(unique_fd(ends[1]));
  check(pipe2(ends, O_CLOEXEC), "pipe");
  unique_fd output(ends[0]);
  const auto guard_output = lift(unique_fd(ends[1]));
  check(fcntl(output.get(), F_SETFL, O_NONBLOCK), "fcntl");

  arguments.insert(arguments.begin(), guard_path);
  const auto argv = pointers(arguments);
  const auto envp = pointers(environment);
  const spawn_plan plan(guard_output.get(), guard_control.get());
  guard_process result;
  const int error = posix_spawn(&result.pid, guard_path.c_str(), &plan.actions, &plan.attributes,
                                argv.data(), envp.data());
  if (error != 0) fail(error, "posix_spawn");
  result.control = std::move(control);
  result.output = std::move(output);
  const auto pidfd = syscall(SYS_pidfd_open, result.pid, 0);
  if (pidfd < 0) {
    const int why = errno;
    kill(result.pid, SIGKILL);
    waitpid(result.pid, nullptr, 0);
    fail(why, "pidfd_open");
  }
  result.pidfd = unique_fd(static_cast<int>(pidfd));  // close-on-exec by itself
  return result;
}

}  // namespace signalbox::runtimes
