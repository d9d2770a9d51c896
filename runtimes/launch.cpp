#include "runtimes/launch.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <boost/algorithm/string/replace.hpp>
#include <map>
#include <system_error>

#include "config/load.hpp"
#include "config/programs.hpp"
#include "runtimes/guard_protocol.hpp"
#include "system/start_program.hpp"

namespace signalbox::runtimes {
namespace {

static_assert(guard_control_fd == control_fd);

void check(int result, const char* what) {
  if (result < 0) throw std::system_error(errno, std::generic_category(), what);
}

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
  // GPUs are numbered as in nvidia-smi, not by speed. Without a lease the runtime sees no GPU.
  variables["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID";
  variables["CUDA_VISIBLE_DEVICES"] = scheduling::indexes_of(request.gpus);
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
  const unique_fd guard_control(ends[1]);
  check(pipe2(ends, O_CLOEXEC), "pipe");
  unique_fd output(ends[0]);
  const unique_fd guard_output(ends[1]);
  check(fcntl(output.get(), F_SETFL, O_NONBLOCK), "fcntl");

  arguments.insert(arguments.begin(), guard_path);
  guard_process result;
  // No death signal: the guard has to outlive us until the tree is gone.
  result.pid = start_program({.argv = std::move(arguments),
                              .environment = std::move(environment),
                              .output = guard_output.get(),
                              .control = guard_control.get()});
  result.control = std::move(control);
  result.output = std::move(output);
  return result;
}

}  // namespace signalbox::runtimes
