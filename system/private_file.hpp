// Secrets on disk.
#pragma once

#include <filesystem>
#include <string>

namespace signalbox {

// For the owner only (0600), and whole or not at all. Throws std::runtime_error.
void write_private_file(const std::filesystem::path& path, const std::string& text);

}  // namespace signalbox
