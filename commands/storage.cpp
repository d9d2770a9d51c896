#include "commands/storage.hpp"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <utility>

#include "persistence/cluster/running_cluster.hpp"
#include "persistence/migrator.hpp"

namespace signalbox::commands {

storage::storage(const config::settings& settings, std::function<bool()> interrupted) {
  if (settings.database.url.empty()) {
    cluster =
        std::make_unique<persistence::private_cluster>(settings.data_dir, std::move(interrupted));
  }
  db = std::make_unique<persistence::database>(cluster ? cluster->url() : settings.database.url);
}

shared_storage::shared_storage(const config::settings& settings) {
  if (settings.database.url.empty()) {
    if (const auto url = persistence::running_cluster_url(settings.data_dir)) {
      of_gateway = std::make_unique<persistence::database>(*url);
      return;
    }
    std::filesystem::create_directories(settings.data_dir);
    if (!std::filesystem::exists(std::filesystem::path(settings.data_dir) / "postgres")) {
      spdlog::warn(
          "making a new database in {}: a gateway with another --config or --data does "
          "not use it",
          settings.data_dir);
    }
  }
  own = std::make_unique<storage>(settings);
  persistence::migrate(*own->db);
}

}  // namespace signalbox::commands
