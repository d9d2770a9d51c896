// A private cluster that a gateway runs, for programs that come beside it.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace signalbox::persistence {

// For `database`; none when no PostgreSQL answers for the data folder.
std::optional<std::string> running_cluster_url(const std::filesystem::path& data_dir);

}  // namespace signalbox::persistence
