// Where the output of a model's runtimes is kept. The drivers write it, and http/ reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace signalbox {

// A file that has reached this size becomes the older one, and a new one begins.
inline constexpr std::uint64_t max_runtime_log_bytes = 16 * 1024 * 1024;

// Returns the path of the file. Other models have other ones, whatever their names; a name that is
// too long for the file system has none that can be opened.
inline std::string runtime_log_path(const std::string& data_dir, std::string_view model) {
  std::string name;
  for (const char c : model) {
    if (c == '/') {
      name += "%2F";
    } else if (c == '%') {
      name += "%25";
    } else {
      name += c;
    }
  }
  return data_dir + "/logs/" + name + ".log";
}

// Returns the path of the file before that.
inline std::string older_runtime_log(const std::string& path) {
  return path + ".1";
}

}  // namespace signalbox
