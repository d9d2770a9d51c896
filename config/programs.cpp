#include "config/programs.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "config/values.hpp"

namespace signalbox::config {
namespace {

bool is_program(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(path.c_str(), X_OK) == 0;
}

std::string why_not(const std::string& name) {
  if (name.find('/') == std::string::npos) return "is neither beside the gateway nor in PATH";
  return access(name.c_str(), F_OK) == 0 ? "is not an executable file" : "does not exist";
}

// Finds {words} that look like placeholders of ours. Braces of a shell (${x}), a template ({{x}})
// or JSON do not.
std::vector<std::string> like_placeholders(const std::string& text) {
  std::vector<std::string> found;
  for (auto at = text.find('{'); at != std::string::npos; at = text.find('{', at + 1)) {
    const auto end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at + 1);
    if (end == std::string::npos || text[end] != '}' || end == at + 1) continue;
    const bool is_of_shell = at > 0 && (text[at - 1] == '$' || text[at - 1] == '{');
    if (!is_of_shell) found.push_back(text.substr(at, end + 1 - at));
  }
  return found;
}

using word_list = std::vector<std::string>;

std::vector<std::string> unknown_placeholders(const std::string& text, const word_list& known) {
  auto found = like_placeholders(text);
  std::erase_if(found, [&](const std::string& word) {
    return std::find(known.begin(), known.end(), word) != known.end();
  });
  return found;
}

// `path` is that of the command.
void check_command(const word_list& command, const std::string& path, const word_list& known,
                   const std::string& program_dir, const environment& env, problem_list& problems) {
  if (!command[0].empty() && !find_program(command[0], program_dir, program_path(env))) {
    problems.unrelated(path + "[0]", fmt::format("found {}, which {}", in_quotes(command[0]),
                                                 why_not(command[0])));
  }
  for (std::size_t i = 1; i < command.size(); ++i) {
    for (const auto& placeholder : unknown_placeholders(command[i], known)) {
      problems.unrelated(fmt::format("{}[{}]", path, i),
                         fmt::format("found {}, which is not a placeholder{}", placeholder,
                                     suggestion(placeholder, known)));
    }
  }
}

}  // namespace

std::string program_path(const environment& env) {
  return env("PATH").value_or("/usr/bin:/bin");
}

std::optional<std::string> find_program(const std::string& name, const std::string& program_dir,
                                        const std::string& path) {
  if (name.find('/') != std::string::npos) {
    return is_program(name) ? std::optional(name) : std::nullopt;
  }
  std::istringstream directories(program_dir + ":" + path);
  for (std::string directory; std::getline(directories, directory, ':');) {
    const auto candidate = directory + "/" + name;
    if (!directory.empty() && is_program(candidate)) return candidate;
  }
  return std::nullopt;
}

void check_commands(const settings& s, const std::string& program_dir, const environment& env,
                    problem_list& problems) {
  const word_list of_models(placeholders.begin(), placeholders.end());
  for (std::size_t i = 0; i < s.models.size(); ++i) {
    const auto& command = s.models[i].command;
    if (s.models[i].driver != driver_kind::process || command.empty()) continue;
    check_command(command, fmt::format("models[{}].command", i), of_models, program_dir, env,
                  problems);
  }
  const auto& training = s.training;
  const bool has_trainer = training.is_configured && !training.command.empty() &&
                           training.driver == trainer_driver::process;
  if (!has_trainer) return;
  check_command(training.command, "training.command", {"{data}"}, program_dir, env, problems);
}

}  // namespace signalbox::config
