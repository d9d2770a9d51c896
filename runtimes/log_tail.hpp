// Splits the output of a runtime into clean lines and keeps the last ones.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace signalbox::runtimes {

class log_tail {
 public:
  static constexpr std::size_t max_line_bytes = 4096;  // the rest of a line is cut off
  static constexpr std::size_t lines_kept = 200;

  explicit log_tail(std::function<void(const std::string&)> on_line)
      : on_line_(std::move(on_line)) {}

  void add(std::string_view bytes);
  void end();  // adds a last line that has no line end

  std::vector<std::string> lines() const { return {lines_.begin(), lines_.end()}; }

 private:
  std::function<void(const std::string&)> on_line_;
  std::string open_line_;
  std::deque<std::string> lines_;
};

}  // namespace signalbox::runtimes
