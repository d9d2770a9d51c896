#include "persistence/columns.hpp"

#include <sstream>
#include <utility>

#include "persistence/array_literal.hpp"
#include "text/utf8.hpp"

namespace signalbox::persistence {

std::string microseconds(const std::string& column) {
  return "(extract(epoch FROM " + column + ") * 1000000)::bigint AS " + column + "_us";
}

std::int64_t to_microseconds(wall_time at) {
  return std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count();
}

std::optional<std::int64_t> to_microseconds(const std::optional<wall_time>& at) {
  if (!at) return std::nullopt;
  return to_microseconds(*at);
}

wall_time to_time(std::int64_t microseconds) {
  return wall_time(std::chrono::microseconds(microseconds));
}

std::optional<wall_time> optional_time(const pqxx::field& field) {
  if (field.is_null()) return std::nullopt;
  return to_time(field.as<std::int64_t>());
}

std::string to_array(const std::vector<std::string>& texts) {
  array_literal all;
  for (const auto& text : texts) all.add(clean_text(text, max_name_bytes));
  return std::move(all).take();
}

std::string from_lines(const std::vector<std::string>& texts) {
  std::string lines;
  for (const auto& text : texts) {
    if (&text != &texts.front()) lines += '\n';
    lines += clean_text(text, max_name_bytes);
  }
  return lines;
}

std::vector<std::string> to_lines(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

}  // namespace signalbox::persistence
