// The leases of outside programs, as they outlive us: the file leases.json in the data folder.
#pragma once

#include <filesystem>
#include <vector>

#include "scheduling/outside_leases.hpp"

namespace signalbox::persistence {

class lease_file {
 public:
  // `data_dir` exists.
  explicit lease_file(const std::filesystem::path& data_dir) : path_(data_dir / "leases.json") {}

  // Empty when there is no file. Throws std::runtime_error when it is not what write() writes: its
  // leases may be in use.
  std::vector<scheduling::outside_record> read() const;
  // The file is durable when this returns. Throws std::runtime_error.
  void write(const std::vector<scheduling::outside_record>& records) const;

 private:
  const std::filesystem::path path_;
};

}  // namespace signalbox::persistence
