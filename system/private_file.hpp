// Files that not everybody on the machine can read.
#pragma once

#include <filesystem>
#include <string>

namespace signalbox {

// Writes a file that only its owner can read (0600), completely or not at all; it is durable when
// this returns. Throws
// std::runtime_error.
void write_private_file(const std::filesystem::path& path, const std::string& text);

// Makes an empty file, and its folder, when there is none. The owner can read and write it and the
// group can read it (0640), whatever the umask. Fails silently: who opens the file will find out.
void make_group_file(const std::filesystem::path& path);

}  // namespace signalbox
