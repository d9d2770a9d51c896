// Finds the private cluster of a running gateway, for other programs.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace signalbox::persistence {

// Returns a connection string for `database`; nothing when no PostgreSQL answers for the data
// folder.
std::optional<std::string> running_cluster_url(const std::filesystem::path& data_dir);

}  // namespace signalbox::persistence
