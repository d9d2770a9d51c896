// Files for secrets.
#pragma once

#include <filesystem>
#include <string>

namespace signalbox {

// Writes a file that only its owner can read (0600), completely or not at all; it is durable when
// this returns. Throws
// std::runtime_error.
void write_private_file(const std::filesystem::path& path, const std::string& text);

}  // namespace signalbox
