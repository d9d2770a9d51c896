#include "persistence/cluster/cluster_place.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include "config/load.hpp"
#include "persistence/crypto.hpp"

namespace signalbox::persistence {

namespace fs = std::filesystem;

namespace {

constexpr const char* shared_home = "/var/lib/signalbox";
constexpr const char* versions_home = "/usr/lib/postgresql";
constexpr const char* install_hint = "install the package postgresql, or set DATABASE_URL";

[[noreturn]] void fail_with_errno(const std::string& what) {
  throw std::runtime_error(fmt::format("{}: {}", what, std::generic_category().message(errno)));
}

// Returns a name for a folder in a place that all clusters share.
std::string short_name(const fs::path& path) {
  return sha256_hex(path.string()).substr(0, 16);
}

// Asks the kernel as that user: only it knows about modes, ACLs and mounts.
bool can_enter(const account& user, const fs::path& folder) {
  child_command command;
  command.argv = {"/usr/bin/test", "-x", folder.string()};
  command.run_as = user;
  command.death_signal = SIGKILL;
  try {
    return child_process(command).wait_for(std::chrono::seconds(10)) == 0;
  } catch (const std::system_error&) {
    return false;
  }
}

account account_for(const fs::path& folder) {
  struct stat info;
  const bool exists = ::stat(folder.c_str(), &info) == 0;
  const bool has_owner = exists && info.st_uid != 0;
  const auto found = has_owner ? find_account(info.st_uid) : find_account("postgres");
  if (!found) {
    throw std::runtime_error(
        has_owner
            ? fmt::format("{} belongs to uid {}, which no user here has", folder.string(),
                          info.st_uid)
            : fmt::format("PostgreSQL does not run as root, and there is no user postgres: {}",
                          install_hint));
  }
  return *found;
}

// Places the cluster outside of a data folder that the user cannot enter, and leaves a link there.
fs::path place_elsewhere(const fs::path& data_dir, const fs::path& link, const account& user) {
  fs::path folder = fs::path(shared_home) / short_name(data_dir) / "postgres";
  if (fs::is_symlink(link) || (fs::exists(link) && !fs::is_empty(link))) {
    throw std::runtime_error(
        fmt::format("user {} cannot enter {}: move the data folder to where that user can, or open "
                    "the folders above it (chmod o+x)",
                    user.name, link.string()));
  }
  fs::create_directories(folder.parent_path());
  ::chmod(shared_home, 0755);
  ::chmod(folder.parent_path().c_str(), 0755);
  fs::remove(link);
  fs::create_symlink(folder, link);
  return folder;
}

std::optional<int> version_of(const std::string& text) {
  int version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(version)
                                                                  : std::nullopt;
}

bool has_programs(const fs::path& folder) {
  return ::access((folder / "postgres").c_str(), X_OK) == 0 &&
         ::access((folder / "initdb").c_str(), X_OK) == 0;
}

}  // namespace

folder_lock::folder_lock(const fs::path& folder) {
  const fs::path path = folder / "lock";
  file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file_ < 0) fail_with_errno(fmt::format("cannot open {}", path.string()));
  if (::flock(file_, LOCK_EX | LOCK_NB) == 0) {
    const std::string pid = std::to_string(::getpid()) + "\n";
    // The pid is for the message below; the lock does not depend on it.
    if (::ftruncate(file_, 0) != 0 || ::write(file_, pid.data(), pid.size()) < 0) errno = 0;
    return;
  }
  const int error = errno;
  ::close(file_);
  errno = error;
  if (error != EWOULDBLOCK) fail_with_errno(fmt::format("cannot lock {}", path.string()));
  std::string holder = "?";
  std::ifstream(path) >> holder;
  throw std::runtime_error(
      fmt::format("{} is in use by another gateway (pid {}): stop that one, or "
                  "give this one a data folder of its own",
                  folder.string(), holder));
}

folder_lock::~folder_lock() {
  ::close(file_);
}

cluster_place find_place(const fs::path& data_dir) {
  const fs::path link = data_dir / "postgres";
  const fs::path folder =
      fs::is_symlink(link) ? (data_dir / fs::read_symlink(link)).lexically_normal() : link;
  if (::geteuid() != 0) {
    struct stat info;
    if (::stat(folder.c_str(), &info) == 0 && info.st_uid != ::geteuid()) {
      const auto owner = find_account(info.st_uid);
      throw std::runtime_error(fmt::format("{} belongs to {}: start as that user or as root",
                                           folder.string(),
                                           owner ? owner->name : std::to_string(info.st_uid)));
    }
    return {folder, std::nullopt};
  }
  const account user = account_for(folder);
  if (fs::is_symlink(link)) fs::create_directories(folder.parent_path());
  if (can_enter(user, folder.parent_path())) return {folder, user};
  return {place_elsewhere(data_dir, link, user), user};
}

bool is_cluster(const fs::path& folder) {
  return fs::exists(folder / "PG_VERSION");
}

fs::path find_programs(const fs::path& cluster) {
  std::optional<int> wanted;
  if (is_cluster(cluster)) {
    std::string text;
    std::ifstream(cluster / "PG_VERSION") >> text;
    wanted = version_of(text);
  }
  std::vector<int> versions;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(versions_home, ignored)) {
    const auto version = version_of(entry.path().filename().string());
    if (version && has_programs(entry.path() / "bin")) versions.push_back(*version);
  }
  std::sort(versions.rbegin(), versions.rend());
  for (const int version : versions) {
    if (!wanted || version == *wanted) {
      return fs::path(versions_home) / std::to_string(version) / "bin";
    }
  }
  std::istringstream path(config::process_environment()("PATH").value_or(""));
  for (std::string folder; std::getline(path, folder, ':');) {
    if (fs::path(folder).is_absolute() && has_programs(folder)) return folder;
  }
  if (wanted && !versions.empty()) {
    throw std::runtime_error(
        fmt::format("{} was made by PostgreSQL {}, and the newest here is {}: install "
                    "postgresql-{}, or migrate "
                    "it with pg_upgradecluster's tools",
                    cluster.string(), *wanted, versions.front(), *wanted));
  }
  throw std::runtime_error(
      fmt::format("there is no PostgreSQL in {} or in PATH: {}", versions_home, install_hint));
}

fs::path make_socket_folder(const cluster_place& place) {
  const std::string path = place.folder.string();
  const bool is_plain = std::all_of(path.begin(), path.end(), [](unsigned char character) {
    return std::isalnum(character) || character == '/' || character == '.' || character == '_' ||
           character == '-';
  });
  constexpr std::string_view name = "/.s.PGSQL.5432";
  if (is_plain && path.size() + name.size() < sizeof(sockaddr_un::sun_path)) return place.folder;

  fs::path folder = "/tmp/signalbox-" + short_name(place.folder);
  if (::mkdir(folder.c_str(), 0700) == 0) {
    give_to(folder, place.run_as);
  } else if (errno != EEXIST) {
    fail_with_errno(fmt::format("cannot make {}", folder.string()));
  }
  // Another user may have made it, to sit between us and the server.
  struct stat info;
  const uid_t owner = place.run_as ? place.run_as->uid : ::geteuid();
  if (::lstat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) || info.st_uid != owner ||
      (info.st_mode & 0777) != 0700) {
    throw std::runtime_error(fmt::format(
        "{} is not a private folder of the database's user: remove it", folder.string()));
  }
  return folder;
}

void give_to(const fs::path& folder, const std::optional<account>& owner) {
  if (owner && ::lchown(folder.c_str(), owner->uid, owner->gid) != 0) {
    fail_with_errno(fmt::format("cannot give {} to {}", folder.string(), owner->name));
  }
}

}  // namespace signalbox::persistence
