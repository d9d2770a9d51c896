// Tells whether the kernel killed a process for want of memory a moment ago. It counts such kills,
// of cgroups as of the whole machine, in /proc/vmstat; where it does not, none is known of.
#pragma once

#include <cstdint>
#include <string>

namespace signalbox::runtimes {

class oom_watch {
 public:
  explicit oom_watch(std::string file = "/proc/vmstat");

  void sample();  // call it every few seconds
  // Since the sample before the last one: the kill may have been just before that.
  bool has_killed() const { return count() > before_last_; }

 private:
  std::uint64_t count() const;

  std::string file_;
  std::uint64_t before_last_, last_;
};

}  // namespace signalbox::runtimes
