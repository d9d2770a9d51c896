#include "tests/tidy/sources.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>

namespace signalbox::tidy {
namespace {

namespace fs = std::filesystem;

// Standard output of a command; nothing when it fails.
std::optional<std::string> output_of(const std::string& command) {
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return std::nullopt;
  std::string out;
  std::array<char, 4096> buffer{};
  while (std::size_t n = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    out.append(buffer.data(), n);
  }
  return ::pclose(pipe) == 0 ? std::optional(out) : std::nullopt;
}

void add_file(const fs::path& root, const std::string& path, std::vector<source>& out) {
  if (!fs::is_regular_file(root / path)) return;  // deleted, but git still knows it
  std::ifstream in(root / path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  bool is_text = text.find('\0') == std::string::npos;
  if (is_text) out.push_back({path, std::move(text)});
}

bool is_left_out(const std::string& folder) {
  return folder.starts_with("build") || folder == ".git" || folder == ".cache" ||
         folder == "data" || folder == "node_modules";
}

// The end of the literal or comment that begins at `at`; `at` itself when none does.
std::size_t end_of_non_code(std::string_view text, std::size_t at) {
  auto after = [&](std::string_view terminator, std::size_t from) {
    auto found = text.find(terminator, from);
    return found == std::string_view::npos ? text.size() : found + terminator.size();
  };
  std::string_view rest = text.substr(at);
  if (rest.starts_with("//")) return std::min(text.find('\n', at), text.size());
  if (rest.starts_with("/*")) return after("*/", at + 2);
  if (rest.starts_with("R\"")) {
    auto open = text.find('(', at);
    if (open == std::string_view::npos) return text.size();
    return after(")" + std::string(text.substr(at + 2, open - at - 2)) + "\"", open);
  }
  bool digit_separator =
      rest[0] == '\'' && at > 0 && std::isalnum(static_cast<unsigned char>(text[at - 1]));
  if ((rest[0] != '"' && rest[0] != '\'') || digit_separator) return at;
  for (std::size_t i = at + 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == rest[0])
      return i + 1;
    else if (text[i] == '\n')
      return i;
  }
  return text.size();
}

}  // namespace

std::vector<source> read_tree(const fs::path& root) {
  auto listed = output_of("git -C '" + root.string() +
                          "' ls-files --cached --others --exclude-standard 2>/dev/null");
  if (!listed || listed->empty()) return read_tree_by_walking(root);
  std::vector<source> out;
  for (std::string_view path : lines_of(*listed)) add_file(root, std::string(path), out);
  return out;
}

std::vector<source> read_tree_by_walking(const fs::path& root) {
  std::vector<source> out;
  for (auto entry = fs::recursive_directory_iterator(root);
       entry != fs::recursive_directory_iterator(); ++entry) {
    if (entry->is_directory()) {
      if (is_left_out(entry->path().filename().string())) entry.disable_recursion_pending();
    } else {
      add_file(root, entry->path().lexically_relative(root).generic_string(), out);
    }
  }
  std::sort(out.begin(), out.end(),
            [](const source& a, const source& b) { return a.path < b.path; });
  return out;
}

std::string only_code(std::string_view cpp) {
  std::string out(cpp);
  for (std::size_t i = 0; i < out.size();) {
    std::size_t end = end_of_non_code(cpp, i);
    if (end == i) ++i;
    for (; i < end; ++i) {
      if (out[i] != '\n') out[i] = ' ';
    }
  }
  return out;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string_view trimmed(std::string_view text) {
  auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
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

bool is_cpp(std::string_view path) {
  return path.ends_with(".cpp") || path.ends_with(".hpp");
}

bool is_code(std::string_view path) {
  return is_cpp(path) || path.ends_with(".cmake") || path.ends_with("CMakeLists.txt") ||
         path.ends_with(".sql") || path.ends_with(".js") || path.ends_with(".mjs");
}

}  // namespace signalbox::tidy
