// Reads the file with the output of a model's runtimes (records/runtime_log.hpp), while it grows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "system/unique_fd.hpp"

namespace signalbox::http {

// Reads no link and nothing but regular files. What cannot be read is as if it were empty.
class log_reader {
 public:
  static constexpr std::size_t max_tail_bytes = 1024 * 1024, max_piece_bytes = 64 * 1024;

  explicit log_reader(std::string path) : path_(std::move(path)) {}

  // Returns the last lines, at most `max_tail_bytes` of them, also from the older file. What more()
  // returns comes after them. Call it once, first.
  std::string last_lines(std::size_t count);

  // Returns what was written since, at most `max_piece_bytes`; empty: nothing yet. It goes on in
  // the next file when one was begun. Of a file that was cut it begins at the start.
  std::string more();

 private:
  unique_fd open(const std::string& path, std::uint64_t& size) const;
  std::string read(const unique_fd& fd, std::uint64_t from, std::size_t bytes) const;
  bool has_next() const;

  const std::string path_;
  unique_fd fd_;
  std::uint64_t at_ = 0;  // the next byte to read
};

}  // namespace signalbox::http
