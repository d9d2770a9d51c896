// Keeps crashes of runtimes as files that people can read, beside the rows in the database.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "records/crash.hpp"

namespace signalbox::persistence {

struct crash_file_limits {
  std::size_t files = 500;          // the oldest go
  std::chrono::hours age{30 * 24};  // older ones go, too
  std::size_t bytes = 1024 * 1024;  // of one file; lines that are too many are left out
};

// Returns seed 002's name of the file: 20260115-163000_org_model_runtime_oom.log, in UTC and with
// `_` for a `/` of the model's name.
std::string crash_file_name(const crash_record& crash);

class crash_files {
 public:
  // `folder` is made when it is first needed; its parent must exist.
  explicit crash_files(std::string folder, crash_file_limits limits = {});

  // Writes the file, completely or not at all, and removes old ones. Crashes whose names are the
  // same get a number behind it. No link is followed, not even in place of the folder. Throws
  // std::system_error.
  void add(const crash_record& crash);

 private:
  const std::string folder_;
  const crash_file_limits limits_;
};

}  // namespace signalbox::persistence
