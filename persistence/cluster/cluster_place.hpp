// Where a private cluster lives: its folder, its programs, its user, its socket; and that nobody
// else uses it.
#pragma once

#include <filesystem>
#include <optional>

#include "persistence/cluster/child_process.hpp"

namespace signalbox::persistence {

// Held for as long as the object lives, by one process at a time.
class folder_lock {
 public:
  // Throws std::runtime_error that tells who holds it.
  explicit folder_lock(const std::filesystem::path& folder);  // the file `lock` in it
  ~folder_lock();
  folder_lock(const folder_lock&) = delete;
  folder_lock& operator=(const folder_lock&) = delete;

 private:
  int file_ = -1;
};

struct cluster_place {
  std::filesystem::path folder;   // the cluster itself (PGDATA); may not exist yet
  std::optional<account> run_as;  // whom its processes run as, when we are root
};

// data_dir/postgres, or where it points to. As root it belongs to the user `postgres` (or whoever
// owns it already), who may be unable to get there: /root is closed to others. Then the cluster
// lives under /var/lib/signalbox, and data_dir/postgres is a link to it.
cluster_place find_place(const std::filesystem::path& data_dir);

bool is_cluster(const std::filesystem::path& folder);

// The folder with postgres and initdb: of the version that made the cluster, else the newest.
std::filesystem::path find_programs(const std::filesystem::path& cluster);

// A folder for the Unix socket that only we and the cluster's user can enter: the cluster itself,
// or one under /tmp when the address would be too long or holds what would need quoting.
std::filesystem::path make_socket_folder(const cluster_place& place);

// Ends the processes of a cluster whose gateway is gone; returns at once when there are none.
void stop_leftovers(const std::filesystem::path& cluster);

void give_to(const std::filesystem::path& folder, const std::optional<account>& owner);

}  // namespace signalbox::persistence
