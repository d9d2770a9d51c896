// Collects all problems of one configuration, and where each value came from, to report them at
// once.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace signalbox::config {

// Where a value came from: a line of the file, an environment variable, or neither (a default).
struct origin {
  unsigned line = 0;
  std::string variable = {};
};

class problem_list {
 public:
  explicit problem_list(std::string file) : file_(std::move(file)) {}

  // Notes where the value at `path` was given, for later problems.
  void located(const std::string& path, origin from) { origins_[path] = std::move(from); }
  bool given(const std::string& path) const { return origins_.contains(path); }

  // Reports that the value at `path` ("models[0].name"; "" is the whole file) cannot be read.
  // Relations that involve its section or list element, or that of `also`, are not checked any
  // more.
  void unreadable(const std::string& path, std::string text, origin at,
                  const std::string& also = {});
  // The same, at the place that located() noted.
  void unreadable(const std::string& path, std::string text);
  // Reports that a required option is missing, unless its element is already known to be
  // unreadable.
  void missing(const std::string& path, std::string text);
  // Reports values that are valid by themselves but do not go together. `involved` lists the other
  // paths of the relation.
  void unrelated(const std::string& path, std::string text,
                 const std::vector<std::string>& involved = {});

  // Returns one line for each problem.
  std::vector<std::string> lines() const;
  // Throws config_error if there is any problem.
  void raise() const;

 private:
  struct problem {
    origin at;
    std::string path;
    std::string text;
  };

  origin origin_of(std::string path) const;
  bool in_doubt(const std::string& path) const;
  std::string line_for(const problem& p) const;

  std::string file_;  // empty: the settings did not come from a file
  std::map<std::string, origin> origins_;
  std::set<std::string> unreadable_;  // paths
  std::vector<problem> problems_;
};

}  // namespace signalbox::config
