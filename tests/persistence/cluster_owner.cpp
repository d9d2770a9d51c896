// cluster_owner FOLDER: starts the cluster there, commits one more row, says "ready", and waits to
// be killed (or for the end of its input).
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include "persistence/cluster/private_cluster.hpp"
#include "persistence/migrator.hpp"
#include "persistence/stores.hpp"

int main(int argc, char** argv) try {
  using namespace signalbox;
  if (argc != 2) return 2;
  persistence::private_cluster cluster(argv[1]);
  persistence::database db(cluster.url());
  persistence::migrate(db);
  persistence::crash_store(db).add({std::chrono::system_clock::now(), "owner", "crashed", "", {}});
  std::cout << "ready" << std::endl;
  std::string line;
  std::getline(std::cin, line);
} catch (const std::exception& error) {
  std::cout << error.what() << std::endl;
  return 1;
}
