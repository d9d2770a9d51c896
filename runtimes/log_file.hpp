// Keeps the output of a model's runtimes in a file (records/runtime_log.hpp).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "records/runtime_log.hpp"
#include "system/unique_fd.hpp"

namespace signalbox::runtimes {

// Lines wait until write(). A file that cannot be written costs its lines and one line in the log,
// never a runtime.
class log_file {
 public:
  explicit log_file(std::string path, std::uint64_t max_bytes = max_runtime_log_bytes);

  void add(std::string_view line);
  void write();
  void close() { fd_ = unique_fd(); }  // until the next write()

 private:
  void open();
  void begin_next();
  void failed(const char* what);

  const std::string path_;
  const std::uint64_t max_bytes_;
  unique_fd fd_;
  std::uint64_t size_ = 0;  // of the file
  std::string waiting_;     // whole lines
  bool has_failed_ = false;
};

}  // namespace signalbox::runtimes
