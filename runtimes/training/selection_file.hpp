// The selected checkpoint and whether it may run, kept in the data folder over restarts.
#pragma once

#include <filesystem>

#include "scheduling/training.hpp"

namespace signalbox::runtimes {

class selection_file {
 public:
  explicit selection_file(const std::filesystem::path& data_dir);

  // Without a file nothing is selected. Throws std::runtime_error when there is one that cannot be
  // read: to take that for no selection would stop a trainer that runs.
  scheduling::training_selection load() const;
  // Durable when it returns; a crash leaves the old one or the new one. Throws std::runtime_error.
  void save(const scheduling::training_selection& selection) const;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace signalbox::runtimes
