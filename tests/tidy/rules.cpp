#include "tests/tidy/rules.hpp"

#include <algorithm>
#include <cctype>

namespace signalbox::tidy {
namespace {

struct include_row {
  std::string_view who;  // a prefix of the path; the first row that matches counts
  std::vector<std::string_view> own;
  std::vector<std::string_view> external;
};

const std::vector<include_row>& include_table() {
  static const std::vector<include_row> table{
      {"scheduling/", {"scheduling/"}, {}},
      {"config/",
       {"config/", "scheduling/types.hpp"},
       {"yaml-cpp/", "nlohmann/", "boost/locale/utf.hpp", "fmt/", "openssl/"}},
      {"records/", {"records/", "scheduling/"}, {}},
      {"text/",
       {"text/", "records/wall_time.hpp"},
       {"simdjson.h", "nlohmann/", "boost/locale/utf.hpp", "fmt/"}},
      {"system/", {"system/"}, {}},
      {"access/",
       {"access/", "records/", "text/", "system/", "config/", "scheduling/"},
       {"nlohmann/", "sodium.h", "jwt.h", "boost/asio/ip/address.hpp", "fmt/", "spdlog/"}},
      {"actors/messages.hpp", {"records/", "scheduling/", "config/"}, {}},
      {"persistence/",
       {"persistence/", "records/", "text/", "system/", "config/", "scheduling/"},
       {"pqxx/", "sodium.h", "boost/algorithm/string", "fmt/", "spdlog/"}},
      // Programs of their own, which stand in for a runtime or watch over one.
      {"runtimes/sim/",
       {"runtimes/", "scheduling/types.hpp"},
       {"restinio/", "boost/asio", "boost/beast", "boost/system", "nlohmann/", "prometheus/",
        "CLI/", "fmt/"}},
      {"runtimes/",
       {"runtimes/", "records/", "text/", "system/", "config/", "scheduling/"},
       {"boost/asio", "boost/beast", "boost/system", "boost/algorithm/string",
        "boost/locale/utf.hpp", "fmt/", "spdlog/"}},
      // All that http sees of the control plane.
      {"actors/control_plane.hpp", {"actors/", "records/", "config/", "scheduling/"}, {"caf/"}},
      {"actors/",
       {"actors/", "runtimes/", "persistence/", "records/", "text/", "config/", "scheduling/"},
       {"caf/", "prometheus/", "fmt/", "spdlog/"}},
      {"http/",
       {"http/", "access/", "records/", "text/", "actors/actors.hpp", "actors/messages.hpp",
        "actors/metrics.hpp", "actors/model_table.hpp", "actors/control_plane.hpp",
        "actors/status_board.hpp", "config/", "scheduling/"},
       {"restinio/", "boost/asio", "boost/system", "http_parser.h", "simdjson.h", "nlohmann/",
        "sodium.h", "openssl/", "fmt/", "spdlog/"}},
  };
  return table;
}

bool is_library(std::string_view header) {
  static const std::vector<std::string_view> libraries{
      "caf/",   "restinio/", "boost/", "nlohmann/",     "yaml-cpp/",
      "fmt/",   "spdlog/",   "pqxx/",  "prometheus/",   "simdjson",
      "sodium", "openssl/",  "CLI/",   "http_parser.h", "jwt"};
  return std::any_of(libraries.begin(), libraries.end(),
                     [&](std::string_view prefix) { return header.starts_with(prefix); });
}

bool starts_with_any(std::string_view text, const std::vector<std::string_view>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return text.starts_with(prefix); });
}

std::string_view trimmed(std::string_view text) {
  auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// `"config/load.hpp"` or `<vector>` of an include line; empty for any other line.
std::string_view included(std::string_view line) {
  line = trimmed(line);
  if (!line.starts_with('#')) return {};
  line = trimmed(line.substr(1));
  if (!line.starts_with("include")) return {};
  line = trimmed(line.substr(7));
  auto end = line.find_first_of("\">", 1);
  return end == std::string_view::npos ? std::string_view{} : line.substr(0, end + 1);
}

bool is_word_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

bool has_word(std::string_view line, std::string_view word) {
  for (auto at = line.find(word); at != std::string_view::npos; at = line.find(word, at + 1)) {
    std::size_t end = at + word.size();
    if ((at == 0 || !is_word_character(line[at - 1])) &&
        (end == line.size() || !is_word_character(line[end]))) {
      return true;
    }
  }
  return false;
}

// One finding for each line of `text` on which `is_bad` is true.
template <class Predicate>
findings bad_lines(const source& file, std::string_view text, const std::string& what,
                   Predicate is_bad) {
  findings out;
  std::size_t number = 0;
  for (std::string_view line : lines_of(text)) {
    ++number;
    if (is_bad(line)) out.push_back({file.path, number, what});
  }
  return out;
}

findings words_in_code(const source& file, const std::vector<std::string_view>& words,
                       const std::string& what) {
  return bad_lines(file, only_code(file.text), what, [&](std::string_view line) {
    return std::any_of(words.begin(), words.end(),
                       [&](std::string_view word) { return has_word(line, word); });
  });
}

enum class brace : std::uint8_t { container, function, initializer };

// What the brace after `header` (all since the last ; or brace) opens. By our formatting a body's
// brace follows a blank, that of a member initializer its name.
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

// Skips the whole braces that open at `at`; the index of the closing one.
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

findings check_includes(const source& file) {
  auto row = std::find_if(include_table().begin(), include_table().end(),
                          [&](const include_row& r) { return file.path.starts_with(r.who); });
  if (!is_cpp(file.path) || row == include_table().end()) return {};
  bool standard_only = row->who == "scheduling/" || row->who.ends_with("messages.hpp");
  findings out = bad_lines(file, file.text, "", [&](std::string_view line) {
    std::string_view header = included(line);
    if (header.empty()) return false;
    std::string_view name = header.substr(1, header.size() - 2);
    if (header.front() == '"') return !starts_with_any(name, row->own);
    if (standard_only) return name.find_first_of("./") != std::string_view::npos;
    return is_library(name) && !starts_with_any(name, row->external);
  });
  std::vector<std::string_view> lines = lines_of(file.text);
  for (finding& f : out) f.what = "may not include " + std::string(included(lines[f.line - 1]));
  return out;
}

findings check_line_length(const source& file) {
  if (!is_code(file.path)) return {};
  constexpr long most = 100;
  return bad_lines(file, file.text, "more than 100 columns", [](std::string_view line) {
    auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; };
    return std::count_if(line.begin(), line.end(), [&](char c) { return !continues(c); }) > most;
  });
}

findings check_function_length(const source& file) {
  if (!is_cpp(file.path)) return {};
  constexpr std::size_t most = 70;
  const std::string code = without_directives(only_code(file.text));
  findings out;
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
      std::size_t first = line_number(code, begin), last = line_number(code, end);
      if (last - first + 1 > most) {
        out.push_back({file.path, first,
                       "a function of " + std::to_string(last - first + 1) + " lines, allowed 70"});
      }
      header = end + 1;
    }
    i = end;
  }
  return out;
}

findings check_file_length(const source& file) {
  std::size_t count = lines_of(file.text).size();
  if (!is_code(file.path) || count <= 400) return {};
  return {{file.path, 0, std::to_string(count) + " lines, allowed 400"}};
}

findings check_getenv(const source& file) {
  if (!is_cpp(file.path) || file.path.starts_with("config/")) return {};
  return words_in_code(file, {"getenv", "secure_getenv"}, "reads the environment");
}

findings check_markers(const source& file) {
  // Put together here, so that this file passes.
  const std::vector<std::string> words{std::string("TO") + "DO", std::string("FIX") + "ME",
                                       std::string("XX") + "X"};
  return bad_lines(file, file.text, "something is left to be done", [&](std::string_view line) {
    return std::any_of(words.begin(), words.end(),
                       [&](const std::string& word) { return has_word(line, word); });
  });
}

findings check_banners(const source& file) {
  if (!is_code(file.path)) return {};
  constexpr std::size_t most = 4;  // one and the same sign in a row
  return bad_lines(file, file.text, "a banner", [](std::string_view line) {
    line = trimmed(line);
    if (!starts_with_any(line, {"//", "#", "--", "/*", "*"})) return false;
    std::size_t run = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
      bool same = i > 0 && line[i] == line[i - 1];
      bool sign = std::string_view("-=*/#~_").find(line[i]) != std::string_view::npos;
      run = sign ? (same ? run + 1 : 1) : 0;
      if (run > most) return true;
    }
    return false;
  });
}

findings check_sleeps(const source& file) {
  if (!is_cpp(file.path) || !file.path.starts_with("tests/")) return {};
  return words_in_code(file, {"sleep_for", "sleep_until", "usleep", "sleep", "nanosleep"},
                       "sleeps instead of waiting for something");
}

findings check_home_paths(const source& file) {
  const std::vector<std::string> homes{std::string("/ho") + "me/", std::string("/Us") + "ers/",
                                       std::string("/ro") + "ot/"};
  return bad_lines(file, file.text, "the path of somebody's home", [&](std::string_view line) {
    return std::any_of(homes.begin(), homes.end(), [&](const std::string& home) {
      auto at = line.find(home);
      return at != std::string_view::npos && (at == 0 || !is_word_character(line[at - 1]));
    });
  });
}

findings check_migrations(const std::vector<std::string>& paths) {
  constexpr std::string_view folder = "migrations/";
  std::vector<std::string> names;
  for (const std::string& path : paths) {
    if (path.starts_with(folder)) names.push_back(path.substr(folder.size()));
  }
  std::sort(names.begin(), names.end());
  findings out;
  for (std::size_t i = 0; i < names.size(); ++i) {
    std::string number = std::to_string(i + 1);
    std::string expected = std::string(4 - std::min<std::size_t>(4, number.size()), '0') + number;
    std::string_view name = names[i];
    std::string_view what = name.substr(std::min<std::size_t>(5, name.size()));
    bool good =
        name.starts_with(expected + "_") && what.ends_with(".sql") && what.size() > 4 &&
        what.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.") == std::string_view::npos;
    if (!good) out.push_back({"migrations/" + names[i], 0, "expected " + expected + "_what.sql"});
  }
  return out;
}

}  // namespace signalbox::tidy
