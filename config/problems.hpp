// Everything that is wrong with one configuration, and where each value came from; all of it is
// reported at once.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace signalbox::config {

// A line of the file, or an environment variable; neither: a default.
struct origin {
  unsigned line = 0;
  std::string variable = {};
};

class problem_list {
 public:
  explicit problem_list(std::string file) : file_(std::move(file)) {}

  // Remembers where the value at `path` was given, for problems found later.
  void located(const std::string& path, origin from) { origins_[path] = std::move(from); }
  bool given(const std::string& path) const { return origins_.contains(path); }

  // The value at `path` ("models[0].name"; "" is the whole file) cannot be read. Relations that
  // involve its section or list element (and that of `also`) are not judged any more.
  void unreadable(const std::string& path, std::string text, origin at,
                  const std::string& also = {});
  // The same for a value whose place is known from located().
  void unreadable(const std::string& path, std::string text);
  // An option that has to be given was not; not said of an element that is already in doubt.
  void missing(const std::string& path, std::string text);
  // Values that are fine by themselves do not go together. `involved`: other paths it looked at.
  void unrelated(const std::string& path, std::string text,
                 const std::vector<std::string>& involved = {});

  // One for each problem, for a person.
  std::vector<std::string> lines() const;
  // Throws config_error when there is any problem.
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
