// The folder in which a trainer keeps its checkpoints, each in a folder of its own. It belongs to
// the trainer and is only read: no symbolic link below it is followed, nothing outside it is ever
// opened, and what is no plain file is not waited for.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.hpp"
#include "runtimes/training/trainer_status.hpp"

namespace signalbox::runtimes {

struct checkpoint_status {
  std::string checkpoint;  // its folder, relative: "run", "run/a"
  trainer_status status;
};

struct checkpoint_list {
  std::vector<checkpoint_status> found;  // in order of name
  bool is_cut = false;                   // there are more than max_checkpoints, or folders
  std::string error{};                   // why the folder itself cannot be read, without its path
};

class checkpoint_folder {
 public:
  static constexpr std::size_t max_checkpoints = 1000;
  static constexpr std::size_t max_folders = 10000;  // that list() looks into
  static constexpr int max_depth = 4;

  // `path` need not exist yet, and may itself be a symbolic link. `file` is a plain name.
  checkpoint_folder(std::filesystem::path path, std::string file,
                    config::trainer_status_format format);

  // A relative path of at most max_depth names, without empty ones, dots and control characters.
  static bool is_name(std::string_view checkpoint);
  bool has(std::string_view checkpoint) const;  // there is such a folder
  trainer_status read(std::string_view checkpoint) const;
  // Every folder below with a status file, which may be one that cannot be read.
  checkpoint_list list() const;

 private:
  std::filesystem::path path_;
  std::string file_;
  config::trainer_status_format format_;
};

}  // namespace signalbox::runtimes
