// The database that the settings name, as the commands use it.
#pragma once

#include <functional>
#include <memory>

#include "config/settings.hpp"
#include "persistence/cluster/private_cluster.hpp"
#include "persistence/database.hpp"

namespace signalbox::commands {

// The database of the settings, or our own cluster in the data folder, which is started.
struct storage {
  explicit storage(const config::settings& settings, std::function<bool()> interrupted = {});

  std::unique_ptr<persistence::private_cluster> cluster;
  std::unique_ptr<persistence::database> db;
};

// The same, beside a gateway that may be running: its cluster is used as it is. The schema is
// brought up to date when nobody else has done so.
struct shared_storage {
  explicit shared_storage(const config::settings& settings);

  std::unique_ptr<storage> own;
  std::unique_ptr<persistence::database> of_gateway;
  persistence::database& db() { return own ? *own->db : *of_gateway; }
};

}  // namespace signalbox::commands
