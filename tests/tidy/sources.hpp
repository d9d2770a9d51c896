// The files of the source tree, and C++ text without what is not code.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace signalbox::tidy {

struct source {
  std::string path;  // from the root, with /
  std::string text;
};

// The text files that git knows or would add; without git, all that .gitignore does not name.
std::vector<source> read_tree(const std::filesystem::path& root);
std::vector<source> read_tree_by_walking(const std::filesystem::path& root);

// Comments and the contents of literals become blanks; every newline stays where it is.
std::string only_code(std::string_view cpp);

std::vector<std::string_view> lines_of(std::string_view text);
std::string_view trimmed(std::string_view text);  // without blanks at both ends

bool is_word_character(char c);  // a letter, a digit or _
// `word` stands in `line`, and no word character touches it.
bool has_word(std::string_view line, std::string_view word);

bool is_cpp(std::string_view path);   // .cpp, .hpp
bool is_code(std::string_view path);  // C++, CMake, SQL, JavaScript

}  // namespace signalbox::tidy
