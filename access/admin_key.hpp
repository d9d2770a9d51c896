// The admin key that is made on first start when the configuration names no key. It is shown once;
// the data folder keeps its digest only.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "access/authentication.hpp"

namespace signalbox {

struct admin_key {
  key_record record;                 // id "admin", scope admin, no limits
  std::optional<std::string> token;  // only when the key has just been made: to be shown once
};

// Reads data_dir/admin-key.digest, or makes a key and writes that file (0600, atomically). Throws
// std::runtime_error that says what to do when the file cannot be read or written.
admin_key load_or_make_admin_key(const std::filesystem::path& data_dir);

}  // namespace signalbox
