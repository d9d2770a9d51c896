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
std::vector<std::string> unknown_placeholders(const std::string& text) {
  std::vector<std::string> found;
  for (auto at = text.find('{'); at != std::string::npos; at = text.find('{', at + 1)) {
    const auto end = text.find_first_not_of("abcdefghijklmnopqrstuvwxyz_", at + 1);
    if (end == std::string::npos || text[end] != '}' || end == at + 1) continue;
    const bool is_of_shell = at > 0 && (text[at - 1] == '$' || text[at - 1] == '{');
    const auto word = text.substr(at, end + 1 - at);
    if (is_of_shell ||
        std::find(placeholders.begin(), placeholders.end(), word) != placeholders.end())
      continue;
    found.push_back(word);
  }
  return found;
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
  const std::vector<std::string> known(placeholders.begin(), placeholders.end());
  for (std::size_t i = 0; i < s.models.size(); ++i) {
    const auto& command = s.models[i].command;
    if (s.models[i].driver != driver_kind::process || command.empty()) continue;
    if (!command[0].empty() && !find_program(command[0], program_dir, program_path(env))) {
      problems.unrelated(
          fmt::format("models[{}].command[0]", i),
          fmt::format("found {}, which {}", in_quotes(command[0]), why_not(command[0])));
    }
    for (std::size_t word = 1; word < command.size(); ++word) {
      for (const auto& placeholder : unknown_placeholders(command[word])) {
        problems.unrelated(fmt::format("models[{}].command[{}]", i, word),
                           fmt::format("found {}, which is not a placeholder{}", placeholder,
                                       suggestion(placeholder, known)));
      }
    }
  }
}

}  // namespace signalbox::config
