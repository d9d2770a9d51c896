// Finds the place of a private cluster (its folder, programs, user and socket) and locks it against
// other gateways.
#pragma once

#include <filesystem>
#include <optional>

#include "persistence/cluster/child_process.hpp"

namespace signalbox::persistence {

// A lock on a folder, held by one process at a time for as long as the object lives.
class folder_lock {
 public:
  // Locks the file `lock` in the folder. Throws std::runtime_error that names the holder.
  explicit folder_lock(const std::filesystem::path& folder);
  ~folder_lock();
  folder_lock(const folder_lock&) = delete;
  folder_lock& operator=(const folder_lock&) = delete;

 private:
  int file_ = -1;
};

struct cluster_place {
  std::filesystem::path folder;   // the cluster itself (PGDATA); may not exist yet
  std::optional<account> run_as;  // user of its processes; set when we are root
};

// Returns data_dir/postgres or what it links to. As root the cluster belongs to its present owner,
// else to the user `postgres`. Where that user cannot enter the data folder (/root is closed to
// others), the cluster lives under /var/lib/signalbox and data_dir/postgres links to it.
cluster_place find_place(const std::filesystem::path& data_dir);

bool is_cluster(const std::filesystem::path& folder);

// Returns the folder with postgres and initdb: of the version that made the cluster, else the
// newest.
std::filesystem::path find_programs(const std::filesystem::path& cluster);

// Returns a folder for the Unix socket that only we and the cluster's user can enter: the cluster
// itself, or one under /tmp if the address would be too long or would need quoting.
std::filesystem::path make_socket_folder(const cluster_place& place);

// Ends the processes of a cluster whose gateway is gone. Returns at once when there are none.
void stop_leftovers(const std::filesystem::path& cluster);

void give_to(const std::filesystem::path& folder, const std::optional<account>& owner);

}  // namespace signalbox::persistence
