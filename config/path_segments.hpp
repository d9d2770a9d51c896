// Segments of a URL's path that servers take away before they look for a route.
#pragma once

#include <algorithm>
#include <string_view>

namespace signalbox::config {

// Returns whether a segment of the path is empty, '.' or '..', also with parameters behind it
// (";a=b"), which some servers take off. The path is decoded, begins with a slash and may end with
// one.
inline bool has_odd_segment(std::string_view path) {
  for (std::size_t begin = 1; begin < path.size();) {
    const auto end = std::min(path.find('/', begin), path.size());
    const auto segment = path.substr(begin, end - begin);
    const auto name = segment.substr(0, segment.find(';'));
    if (segment.empty() || name == "." || name == "..") return true;
    begin = end + 1;
  }
  return false;
}

}  // namespace signalbox::config
