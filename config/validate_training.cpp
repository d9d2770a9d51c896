#include "config/validate_training.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "config/address.hpp"
#include "config/values.hpp"

namespace signalbox::config {
namespace {

void check_driver(const training_options& t, problem_list& problems) {
  if (t.driver == trainer_driver::process) {
    if (t.command.empty() || t.command.front().empty()) {
      problems.unrelated("training", "found no command, which driver process needs");
    }
  } else {
    const auto only_process = [&](bool given, const char* path) {
      if (given) problems.unrelated(path, "allowed with driver process only", {"training.driver"});
    };
    only_process(!t.command.empty(), "training.command");
    only_process(!t.environment.empty(), "training.environment");
  }
  for (std::size_t i = 0; i < t.environment.size(); ++i) {
    const auto equals = t.environment[i].find('=');
    if (equals != std::string::npos && equals != 0) continue;
    problems.unrelated(fmt::format("training.environment[{}]", i),
                       "found an entry without a name and =, allowed NAME=VALUE");
  }
}

void check_status_file(const training_options& t, problem_list& problems) {
  const auto& name = t.status_file;
  if (name.find('/') == std::string::npos && name != "." && name != "..") return;
  problems.unrelated("training.status_file",
                     fmt::format("found {}, allowed a name without /", in_quotes(name)));
}

void check_times(const training_options& t, problem_list& problems) {
  if (t.poll_s >= t.frozen_timeout_s) {
    problems.unrelated(
        "training.frozen_timeout_s",
        fmt::format("found {}, allowed above poll_s ({})", t.frozen_timeout_s, t.poll_s),
        {"training.poll_s"});
  }
  if (t.backoff_s > t.backoff_max_s) {
    problems.unrelated(
        "training.backoff_s",
        fmt::format("found {}, allowed up to backoff_max_s ({})", t.backoff_s, t.backoff_max_s),
        {"training.backoff_max_s"});
  }
}

void check_need(const settings& s, problem_list& problems) {
  const auto& t = s.training;
  const auto fitting = static_cast<std::uint32_t>(
      std::count_if(s.gpus.begin(), s.gpus.end(),
                    [&](const gpu_options& gpu) { return gpu.memory >= t.gpu_memory; }));
  const bool fits = t.gpu_count == 0 ? fitting == s.gpus.size() : fitting >= t.gpu_count;
  if (fits) return;
  problems.unrelated(
      "training.gpu",
      fmt::format("found {} on {} GPUs, but so much is on {} of {}",
                  t.gpu_memory == 0 ? "all memory" : format_size(t.gpu_memory),
                  t.gpu_count == 0 ? "all" : std::to_string(t.gpu_count), fitting, s.gpus.size()),
      {"gpus"});
}

}  // namespace

void check_training(const settings& s, problem_list& problems) {
  if (!s.training.is_configured) return;
  check_driver(s.training, problems);
  check_status_file(s.training, problems);
  check_times(s.training, problems);
  check_need(s, problems);
  if (!parse_endpoint(s.training.tensorboard.url)) {
    problems.unrelated("training.tensorboard.url",
                       fmt::format("found {}, allowed http://HOST:PORT, with or without a path",
                                   in_quotes(s.training.tensorboard.url)));
  }
}

}  // namespace signalbox::config
