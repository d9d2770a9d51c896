#include "tests/tidy/functions.hpp"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>

#include "tests/tidy/sources.hpp"

namespace signalbox::tidy {
namespace {

enum class brace : std::uint8_t { container, function, initializer };

// Tells what the brace after `header` opens; the header is all text since the last ; or brace. In
// our formatting a blank precedes the brace of a body, and none precedes that of an initializer.
brace kind_of(std::string_view header) {
  std::string_view text = trimmed(header);
  bool glued = !header.empty() && !std::isspace(static_cast<unsigned char>(header.back()));
  if (glued || text.ends_with('=') || text.ends_with(',') || text.ends_with('(')) {
    return brace::initializer;
  }
  auto parenthesis = text.rfind(')');  // before it: parameters, or macros without a semicolon
  std::string_view tail = text.substr(parenthesis == std::string_view::npos ? 0 : parenthesis);
  for (std::string_view word : {"namespace", "class", "struct", "union", "enum", "extern"}) {
    if (has_word(tail, word)) return brace::container;
  }
  return parenthesis == std::string_view::npos ? brace::initializer : brace::function;
}

// The index of the brace that closes the one at `at`; the end of the text when none does.
std::size_t closing_brace(std::string_view code, std::size_t at) {
  int depth = 0;
  for (; at < code.size(); ++at) {
    if (code[at] == '{') ++depth;
    if (code[at] == '}' && --depth == 0) return at;
  }
  return code.size();
}

std::size_t line_number(std::string_view text, std::size_t at) {
  return 1 + static_cast<std::size_t>(std::count(text.begin(), text.begin() + at, '\n'));
}

std::string without_directives(const std::string& code) {
  std::string out;
  for (std::string_view line : lines_of(code)) {
    out += trimmed(line).starts_with('#') ? "" : line;
    out += '\n';
  }
  return out;
}

}  // namespace

std::vector<function_lines> functions_of(std::string_view cpp) {
  const std::string code = without_directives(only_code(cpp));
  std::vector<function_lines> out;
  std::size_t header = 0;
  for (std::size_t i = 0; i < code.size(); ++i) {
    if (code[i] == ';' || code[i] == '}') header = i + 1;
    if (code[i] != '{') continue;
    brace kind = kind_of(std::string_view(code).substr(header, i - header));
    if (kind == brace::container) {
      header = i + 1;
      continue;
    }
    std::size_t end = closing_brace(code, i);
    if (kind == brace::function) {
      std::size_t begin = code.find_first_not_of(" \n", header);
      out.push_back({line_number(code, begin), line_number(code, i), line_number(code, end)});
      header = end + 1;
    }
    i = end;
  }
  return out;
}

}  // namespace signalbox::tidy
