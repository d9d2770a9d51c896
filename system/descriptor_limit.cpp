#include "system/descriptor_limit.hpp"

#include <sys/resource.h>

#include <cerrno>
#include <optional>
#include <system_error>

namespace signalbox {
namespace {

std::optional<rlimit> before_raise;

rlimit present_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    throw std::system_error(errno, std::generic_category(), "getrlimit");
  }
  return limit;
}

}  // namespace

std::uint64_t descriptor_limit() {
  return present_limit().rlim_cur;
}

std::uint64_t raise_descriptor_limit() {
  const auto limit = present_limit();
  if (limit.rlim_cur == limit.rlim_max) return limit.rlim_cur;
  const rlimit raised{limit.rlim_max, limit.rlim_max};
  if (setrlimit(RLIMIT_NOFILE, &raised) != 0) return limit.rlim_cur;
  before_raise = limit;
  return raised.rlim_cur;
}

void restore_descriptor_limit() {
  if (before_raise) setrlimit(RLIMIT_NOFILE, &*before_raise);
}

}  // namespace signalbox
