#include "runtimes/oom_watch.hpp"

#include <fstream>
#include <utility>

namespace signalbox::runtimes {

oom_watch::oom_watch(std::string file)
    : file_(std::move(file)), before_last_(count()), last_(before_last_) {}

void oom_watch::sample() {
  before_last_ = std::exchange(last_, count());
}

std::uint64_t oom_watch::count() const {
  std::ifstream lines(file_);
  std::string name;
  for (std::uint64_t value; lines >> name >> value;) {
    if (name == "oom_kill") return value;
  }
  return 0;
}

}  // namespace signalbox::runtimes
