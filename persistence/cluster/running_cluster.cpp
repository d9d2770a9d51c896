#include "persistence/cluster/running_cluster.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>

#include <fstream>

namespace signalbox::persistence {

// Lines of postmaster.pid: process, folder, start time, port, folder of the socket.
std::optional<std::string> running_cluster_url(const std::filesystem::path& data_dir) {
  std::ifstream file(data_dir / "postgres" / "postmaster.pid");
  std::string socket_folder;
  for (int line = 0; line < 5 && std::getline(file, socket_folder); ++line) {
  }
  if (!file) return std::nullopt;
  auto url = fmt::format("host={} port=5432 user=signalbox dbname=postgres", socket_folder);
  if (PQping((url + " connect_timeout=5").c_str()) != PQPING_OK) return std::nullopt;
  return url;
}

}  // namespace signalbox::persistence
