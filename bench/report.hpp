// Collects the figures, and states for each with a target whether it was met.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace signalbox::bench {

struct bench_options {
  int rounds = 5, seconds = 3;  // of wrk
  int stream_rounds = 3, streams = 1000;
  int tokens_per_s = 50, stream_tokens = 500;  // of each stream
  bool apart = true;                           // streams: gives the contender a core of its own
  std::vector<std::string> only;               // empty: all parts
  std::string json_file;
  bool keep = false;
};

enum class bound { at_least, at_most };

class report {
 public:
  // Adds a figure with the values of all rounds: the median counts, the extremes are shown.
  void figure(const std::string& name, const std::vector<double>& values, const std::string& unit,
              bound kind, double target);
  // The same without a target, for information.
  void note(const std::string& name, const std::vector<double>& values, const std::string& unit);
  void failed(const std::string& part, const std::string& why);

  nlohmann::json& part(const std::string& name) { return parts_[name]; }
  nlohmann::json json() const;
  void print_figures() const;
  bool any_failed() const { return !failures_.empty(); }

 private:
  nlohmann::json figures_ = nlohmann::json::array(), failures_ = nlohmann::json::array();
  nlohmann::json parts_ = nlohmann::json::object();
};

// {"median", "min", "max", "values"}
nlohmann::json spread(const std::vector<double>& values);

}  // namespace signalbox::bench
