// The rules of the house that a machine can check. Each takes one file and tells what is wrong.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/tidy/sources.hpp"

namespace signalbox::tidy {

struct finding {
  std::string path;
  std::size_t line;  // from 1; 0: the whole file
  std::string what;
};
using findings = std::vector<finding>;

struct rule {
  std::string name;
  std::function<findings(const source&)> check;
};

// The table of which folder may include which, see docs/ARCHITECTURE.md.
findings check_includes(const source& file);
findings check_line_length(const source& file);      // 100 columns
findings check_function_length(const source& file);  // 70 lines
findings check_file_length(const source& file);      // 400 lines
findings check_getenv(const source& file);           // only in config/
findings check_markers(const source& file);          // nothing is left to be done
findings check_banners(const source& file);          // no comment that is a line
findings check_sleeps(const source& file);           // a test waits for the thing itself
findings check_home_paths(const source& file);

// Names of the files in migrations/: 0001_what.sql, 0002_…, none missing and none twice.
findings check_migrations(const std::vector<std::string>& paths);

}  // namespace signalbox::tidy
