#include "config/problems.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "config/load.hpp"

namespace signalbox::config {
namespace {

// "models[0].gpu.memory" → "models[0]"; "server.listen[1]" → "server".
std::string element_of(const std::string& path) {
  auto end = path.find('.');
  return path.substr(0, end);
}

bool is_inside(std::string_view path, std::string_view ancestor) {
  if (ancestor.empty() || path == ancestor) return true;
  return path.starts_with(ancestor) &&
         (path[ancestor.size()] == '.' || path[ancestor.size()] == '[');
}

}  // namespace

void problem_list::unreadable(const std::string& path, std::string text, origin at,
                              const std::string& also) {
  unreadable_.insert(path);
  if (!also.empty()) unreadable_.insert(also);
  problems_.push_back({std::move(at), path, std::move(text)});
}

void problem_list::unreadable(const std::string& path, std::string text) {
  unreadable(path, std::move(text), origin_of(path));
}

void problem_list::missing(const std::string& path, std::string text) {
  if (!in_doubt(path)) unreadable(path, std::move(text));
}

void problem_list::unrelated(const std::string& path, std::string text,
                             const std::vector<std::string>& involved) {
  if (in_doubt(path) || std::any_of(involved.begin(), involved.end(),
                                    [this](const std::string& p) { return in_doubt(p); })) {
    return;
  }
  problems_.push_back({origin_of(path), path, std::move(text)});
}

origin problem_list::origin_of(std::string path) const {
  while (!path.empty()) {
    auto found = origins_.find(path);
    if (found != origins_.end()) return found->second;
    auto cut = path.find_last_of(".[");
    path.erase(cut == std::string::npos ? 0 : cut);
  }
  return {};
}

bool problem_list::in_doubt(const std::string& path) const {
  std::string element = element_of(path);
  return std::any_of(unreadable_.begin(), unreadable_.end(), [&](const std::string& bad) {
    return is_inside(bad, element) || is_inside(element, bad);
  });
}

std::string problem_list::line_for(const problem& p) const {
  std::string where;
  if (!p.at.variable.empty())
    where = fmt::format("environment {}: ", p.at.variable);
  else if (p.at.line > 0)
    where = fmt::format("{}:{}: ", file_, p.at.line);
  else if (!file_.empty())
    where = file_ + ": ";
  return where + (p.path.empty() ? "" : p.path + ": ") + p.text;
}

std::vector<std::string> problem_list::lines() const {
  constexpr std::size_t max_lines = 100;
  // Problems with a line come first, in its order; then those without one.
  auto rank = [](const problem& p) {
    return p.at.line > 0 ? p.at.line : std::numeric_limits<unsigned>::max();
  };
  std::vector<problem> sorted = problems_;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [&](const problem& a, const problem& b) { return rank(a) < rank(b); });
  std::vector<std::string> lines;
  for (const problem& p : sorted) {
    if (lines.size() == max_lines) {
      lines.push_back(fmt::format("and {} more", sorted.size() - max_lines));
      break;
    }
    lines.push_back(line_for(p));
  }
  return lines;
}

void problem_list::raise() const {
  if (!problems_.empty()) throw config_error(fmt::format("{}", fmt::join(lines(), "\n")));
}

}  // namespace signalbox::config
