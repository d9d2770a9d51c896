// The database of the settings, for the commands.
#pragma once

#include <functional>
#include <memory>

#include "config/settings.hpp"
#include "persistence/cluster/private_cluster.hpp"
#include "persistence/database.hpp"

namespace signalbox::commands {

// The configured database, or else our own cluster in the data folder, which the constructor
// starts.
struct storage {
  explicit storage(const config::settings& settings, std::function<bool()> interrupted = {});

  std::unique_ptr<persistence::private_cluster> cluster;
  std::unique_ptr<persistence::database> db;
};

// Like storage, but a gateway may be running: its cluster is then used as it is. Brings the schema
// up to date if needed.
struct shared_storage {
  explicit shared_storage(const config::settings& settings);

  std::unique_ptr<storage> own;
  std::unique_ptr<persistence::database> of_gateway;
  persistence::database& db() { return own ? *own->db : *of_gateway; }
};

}  // namespace signalbox::commands
