#include "persistence/cluster/private_cluster.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <optional>

#include "persistence/stores.hpp"
#include "system/pidfd.hpp"
#include "tests/persistence/support.hpp"

namespace signalbox::persistence::test {

namespace fs = std::filesystem;

namespace {

// A gateway, as far as the cluster can tell; see cluster_owner.cpp.
class owner {
 public:
  explicit owner(const fs::path& folder) {
    std::array<int, 2> in, out;
    BOOST_REQUIRE(::pipe2(in.data(), O_CLOEXEC) == 0 && ::pipe2(out.data(), O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    ::posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    std::string program = CLUSTER_OWNER, argument = folder.string();
    std::array<char*, 3> argv{program.data(), argument.data(), nullptr};
    BOOST_REQUIRE(::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ) ==
                  0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    output_ = out[0];
  }

  ~owner() {
    finish(SIGKILL);
    ::close(output_);
  }

  // Everything it says, until it says "ready" or ends.
  std::string wait_until_ready() {
    std::string said;
    std::array<char, 4096> buffer;
    while (said.find("ready\n") == std::string::npos) {
      const ssize_t count = ::read(output_, buffer.data(), buffer.size());
      if (count <= 0) break;
      said.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return said;
  }

  // It does not notice what happens from here on.
  void freeze() {
    int status = 0;
    BOOST_REQUIRE(::kill(pid_, SIGSTOP) == 0);
    BOOST_REQUIRE(::waitpid(pid_, &status, WUNTRACED) == pid_ && WIFSTOPPED(status));
  }

  // Signal 0: the end of its input. Returns its exit status, or the negative signal.
  int finish(int signal) {
    if (pid_ == 0) return 0;
    ::close(input_);
    if (signal != 0) ::kill(pid_, signal);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = 0;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
  }

 private:
  pid_t pid_ = 0;
  int input_ = -1;
  int output_ = -1;
};

std::size_t crashes_in(const private_cluster& cluster) {
  database db(cluster.url(), 1);
  return crash_store(db).newest(100).size();
}

bool is_ready(const std::string& said) {
  BOOST_TEST_MESSAGE(said);
  return said.find("ready\n") != std::string::npos;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(clusters)

BOOST_AUTO_TEST_CASE(data_stay_over_a_restart_and_nobody_else_gets_in) {
  temporary_folder folder;
  for (int run = 1; run <= 3; ++run) {
    private_cluster cluster(folder.path());
    database db(cluster.url(), 1);
    execute(db, "CREATE TABLE IF NOT EXISTS runs (n int)");
    execute(db, "INSERT INTO runs VALUES (1)");
    BOOST_TEST(query(db, "SELECT count(*) FROM runs") == std::to_string(run));
    BOOST_TEST(query(db, "SHOW listen_addresses") == "");
    BOOST_TEST(query(db, "SHOW data_checksums") == "on");
    BOOST_TEST(query(db, "SHOW fsync") == "on");
    BOOST_TEST(query(db, "SHOW synchronous_commit") == "on");
    BOOST_TEST(query(db, "SHOW server_encoding") == "UTF8");
    struct stat info;
    BOOST_REQUIRE(::stat((folder.path() / "postgres").c_str(), &info) == 0);
    BOOST_TEST((info.st_mode & 0777) == 0700);
  }
  BOOST_TEST(!fs::exists(folder.path() / "postgres/postmaster.pid"));  // stopped properly
}

BOOST_AUTO_TEST_CASE(owner_killed_and_started_again_at_once) {
  temporary_folder folder;
  for (int run = 0; run < 3; ++run) {
    owner gateway(folder.path());
    BOOST_REQUIRE(is_ready(gateway.wait_until_ready()));
    BOOST_TEST(gateway.finish(SIGKILL) == -SIGKILL);
  }
  private_cluster cluster(folder.path());
  BOOST_TEST(crashes_in(cluster) == 3);
}

BOOST_AUTO_TEST_CASE(a_start_that_is_interrupted_leaves_nothing_in_the_way) {
  temporary_folder folder;
  const auto at_once = [] { return true; };
  BOOST_CHECK_THROW(private_cluster(folder.path(), at_once), start_interrupted);  // initdb
  BOOST_TEST(!fs::exists(folder.path() / "postgres/PG_VERSION"));
  { private_cluster cluster(folder.path()); }
  BOOST_CHECK_THROW(private_cluster(folder.path(), at_once), start_interrupted);  // postgres
  private_cluster cluster(folder.path());
  database db(cluster.url(), 1);
  BOOST_TEST(query(db, "SELECT 1") == "1");
}

// Without its gateway the server must end by itself, not only when the next gateway comes.
BOOST_AUTO_TEST_CASE(server_dies_with_its_owner) {
  temporary_folder folder;
  owner gateway(folder.path());
  BOOST_REQUIRE(is_ready(gateway.wait_until_ready()));
  pid_t server = 0;
  std::ifstream(folder.path() / "postgres/postmaster.pid") >> server;
  BOOST_REQUIRE(server > 0);
  const auto handle = open_pidfd(server);
  BOOST_REQUIRE(handle.get() >= 0);
  gateway.finish(SIGKILL);
  BOOST_TEST(wait_for_end(handle, std::chrono::seconds(30)));
  BOOST_TEST(!fs::exists(folder.path() / "postgres/postmaster.pid"));
}

BOOST_AUTO_TEST_CASE(server_killed_leaves_what_was_committed) {
  temporary_folder folder;
  std::optional<owner> gateway(folder.path());
  BOOST_REQUIRE(is_ready(gateway->wait_until_ready()));
  pid_t server = 0;
  std::ifstream(folder.path() / "postgres/postmaster.pid") >> server;
  BOOST_REQUIRE(server > 1);
  gateway->freeze();  // else it would start another one
  BOOST_REQUIRE(::kill(server, SIGKILL) == 0);
  gateway.reset();
  BOOST_TEST(fs::exists(folder.path() / "postgres/postmaster.pid"));
  private_cluster cluster(folder.path());
  BOOST_TEST(crashes_in(cluster) == 1);
}

BOOST_AUTO_TEST_CASE(second_owner_is_refused) {
  temporary_folder folder;
  private_cluster cluster(folder.path());
  owner other(folder.path());
  const std::string said = other.wait_until_ready();
  BOOST_TEST(said.find("in use by another gateway (pid " + std::to_string(::getpid()) + ")") !=
             std::string::npos);
  BOOST_TEST(other.finish(0) == 1);
  database db(cluster.url(), 1);
  BOOST_TEST(query(db, "SELECT 1") == "1");
}

BOOST_AUTO_TEST_CASE(long_and_odd_paths) {
  temporary_folder folder;
  const fs::path odd = folder.path() / "it's, \"odd\" = 日本" / std::string(100, 'x');
  std::string socket_folder;
  for (int run = 1; run <= 2; ++run) {
    private_cluster cluster(odd);
    database db(cluster.url(), 1);
    BOOST_TEST(query(db, "SELECT 1") == "1");
    socket_folder = query(db, "SHOW unix_socket_directories");
    BOOST_TEST(socket_folder.rfind("/tmp/signalbox-", 0) == 0);
  }
  fs::remove_all(socket_folder);
}

BOOST_AUTO_TEST_CASE(other_things_in_the_folder_are_not_touched) {
  temporary_folder folder;
  fs::create_directory(folder.path() / "postgres");
  std::ofstream(folder.path() / "postgres/thesis.txt") << "precious";
  if (::geteuid() == 0) {
    BOOST_REQUIRE(::chown((folder.path() / "postgres").c_str(), 65534, 65534) == 0);
  }
  BOOST_CHECK_EXCEPTION(
      private_cluster(folder.path()), std::runtime_error, [](const std::exception& error) {
        return std::string(error.what()).find("neither empty nor") != std::string::npos;
      });
  BOOST_TEST(fs::exists(folder.path() / "postgres/thesis.txt"));
}

BOOST_AUTO_TEST_CASE(server_that_does_not_start_tells_why) {
  temporary_folder folder;
  { private_cluster once(folder.path()); }
  std::ofstream(folder.path() / "postgres/postgresql.conf", std::ios::app) << "\nnonsense = 1\n";
  BOOST_CHECK_EXCEPTION(private_cluster(folder.path()), std::runtime_error,
                        [](const std::exception& error) {
                          BOOST_TEST_MESSAGE(error.what());
                          return std::string(error.what()).find("nonsense") != std::string::npos;
                        });
}

// PostgreSQL's user cannot reach the data folder of a gateway that runs as root, such as one in
// /root.
BOOST_AUTO_TEST_CASE(folder_that_the_user_cannot_enter) {
  if (::geteuid() != 0) {
    BOOST_TEST_MESSAGE("not root: the cluster runs as ourselves");
    return;
  }
  temporary_folder folder;
  fs::permissions(folder.path(), fs::perms::owner_all);
  const fs::path data = folder.path() / "project/data";
  const fs::path copy = folder.path() / "copy";
  for (int run = 1; run <= 2; ++run) {
    private_cluster cluster(data);
    database db(cluster.url(), 1);
    execute(db, "CREATE TABLE IF NOT EXISTS runs (n int)");
    execute(db, "INSERT INTO runs VALUES (1)");
    BOOST_TEST(query(db, "SELECT count(*) FROM runs") == std::to_string(run));
    if (run == 1) continue;
    fs::copy(data, copy, fs::copy_options::copy_symlinks | fs::copy_options::recursive);
    BOOST_CHECK_THROW(private_cluster{copy}, std::runtime_error);  // the same cluster
    BOOST_TEST(query(db, "SELECT 1") == "1");
  }
  const fs::path home = fs::read_symlink(data / "postgres").parent_path();
  BOOST_TEST(home.parent_path() == "/var/lib/signalbox");
  fs::remove_all(home);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::persistence::test
