#include "tests/tidy/rules.hpp"

#include <algorithm>

#include "tests/tidy/functions.hpp"

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
       {"pqxx/", "sodium.h", "boost/algorithm/string", "nlohmann/", "fmt/", "spdlog/"}},
      // Programs of their own, which stand in for a runtime or watch over one.
      {"runtimes/sim/",
       {"runtimes/", "scheduling/types.hpp"},
       {"restinio/", "boost/asio", "boost/beast", "boost/system", "nlohmann/", "prometheus/",
        "CLI/", "fmt/"}},
      {"runtimes/",
       {"runtimes/", "records/", "text/", "system/", "config/", "scheduling/"},
       {"boost/asio", "boost/beast", "boost/system", "boost/algorithm/string",
        "boost/locale/utf.hpp", "nlohmann/", "fmt/", "spdlog/"}},
      // All that http sees of the control plane.
      {"actors/control_plane.hpp", {"actors/", "records/", "config/", "scheduling/"}, {"caf/"}},
      {"actors/",
       {"actors/", "runtimes/", "persistence/", "records/", "text/", "config/", "scheduling/"},
       {"caf/", "prometheus/", "fmt/", "spdlog/"}},
      {"http/",
       {"http/", "access/", "records/", "text/", "system/", "actors/actors.hpp",
        "actors/messages.hpp", "actors/metrics.hpp", "actors/model_table.hpp",
        "actors/control_plane.hpp", "actors/status_board.hpp", "config/", "scheduling/"},
       {"restinio/", "boost/asio", "boost/system", "http_parser.h", "simdjson.h", "nlohmann/",
        "sodium.h", "openssl/", "zlib.h", "zstd.h", "fmt/", "spdlog/"}},
      {"fuzz/",
       {"fuzz/", "http/", "text/"},
       {"boost/asio", "http_parser.h", "nlohmann/", "restinio/", "spdlog/"}},
  };
  return table;
}

bool is_library(std::string_view header) {
  static const std::vector<std::string_view> libraries{
      "caf/",    "restinio/",     "boost/",      "nlohmann/", "yaml-cpp/", "fmt/",
      "spdlog/", "pqxx/",         "prometheus/", "simdjson",  "sodium",    "openssl/",
      "CLI/",    "http_parser.h", "jwt",         "zlib.h",    "zstd.h"};
  return std::any_of(libraries.begin(), libraries.end(),
                     [&](std::string_view prefix) { return header.starts_with(prefix); });
}

bool starts_with_any(std::string_view text, const std::vector<std::string_view>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return text.starts_with(prefix); });
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
  findings out;
  for (const function_lines& function : functions_of(file.text)) {
    std::size_t count = function.with_header();
    if (count <= most) continue;
    out.push_back({file.path, function.header,
                   "a function of " + std::to_string(count) + " lines, allowed 70"});
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
