// Numbers that grow for ever, kept in the database and in the data folder.
#include "persistence/epoch_source.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <sstream>

#include "system/unique_fd.hpp"
#include "tests/persistence/support.hpp"

namespace signalbox::persistence::test {

namespace {

struct epoch_fixture : fresh_database {
  epoch_fixture() { migrate(db); }

  // As each start of the gateway does it.
  std::uint32_t next() { return epoch_source(db, folder.path()).next(); }
  std::uint32_t next_without_database() { return epoch_source(away, folder.path()).next(); }

  std::string text() const {
    std::ostringstream all;
    all << std::ifstream(file).rdbuf();
    return all.str();
  }
  void write(const std::string& text) const { std::ofstream(file) << text; }

  temporary_folder folder;
  const std::filesystem::path file = folder.path() / "epoch";
  database away{"host=/nonexistent"};
};

// Takes connections and never says a word.
struct silent_server {
  silent_server() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    BOOST_REQUIRE(::bind(socket.get(), any, size) == 0);
    BOOST_REQUIRE(::listen(socket.get(), 8) == 0);
    BOOST_REQUIRE(::getsockname(socket.get(), any, &size) == 0);
    port = ntohs(address.sin_port);
  }

  unique_fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::uint16_t port = 0;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(epochs, epoch_fixture)

BOOST_AUTO_TEST_CASE(each_is_greater_and_kept_twice) {
  for (std::uint32_t expected : {1, 2, 3}) {
    BOOST_TEST(next() == expected);
    BOOST_TEST(text() == std::to_string(expected) + "\n");
    BOOST_TEST(query(db, "SELECT last_value FROM gateway_epochs") == std::to_string(expected));
  }
  struct stat file_state {};
  BOOST_REQUIRE(::stat(file.c_str(), &file_state) == 0);
  BOOST_TEST((file_state.st_mode & 0777) == 0600u);
  epoch_source source(db, folder.path());
  BOOST_TEST(source.next() == 4u);
  BOOST_TEST(source.next() == 5u);
}

BOOST_AUTO_TEST_CASE(the_file_alone_decides_while_the_database_is_away) {
  BOOST_TEST(next_without_database() == 1u);
  BOOST_TEST(next() == 2u);
  BOOST_TEST(next_without_database() == 3u);
  BOOST_TEST(next_without_database() == 4u);
  BOOST_TEST(next() == 5u);
}

BOOST_AUTO_TEST_CASE(a_data_folder_that_is_behind_catches_up) {
  execute(db, "SELECT setval('gateway_epochs', 41)");
  BOOST_TEST(next() == 42u);
  write("7\n");  // from a backup
  BOOST_TEST(next() == 43u);
  std::filesystem::remove(file);
  BOOST_TEST(next() == 44u);
}

BOOST_AUTO_TEST_CASE(a_database_that_is_behind_catches_up) {
  write("99");
  BOOST_TEST(next() == 100u);
  std::filesystem::remove(file);
  BOOST_TEST(next() == 101u);
}

BOOST_AUTO_TEST_CASE(a_database_without_the_sequence_counts_as_away) {
  fresh_database empty;
  BOOST_TEST(epoch_source(empty.db, folder.path()).next() == 1u);
  BOOST_TEST(epoch_source(empty.db, folder.path()).next() == 2u);
}

BOOST_AUTO_TEST_CASE(a_database_that_does_not_answer_is_not_waited_for) {
  std::optional<silent_server> server(std::in_place);
  database silent("host=127.0.0.1 connect_timeout=30 port=" + std::to_string(server->port));
  epoch_source source(silent, folder.path());
  write("4\n");
  BOOST_TEST(source.next() == 5u);
  BOOST_TEST(source.next() == 6u);  // the first question is still under way
  server.reset();                   // ends it
}

BOOST_AUTO_TEST_CASE(a_question_that_is_locked_out_is_given_up) {
  while_open(db, "SELECT pg_advisory_xact_lock(7305519084214117)",
             [&] { BOOST_TEST(next() == 1u); });
  BOOST_TEST(next() == 2u);
}

BOOST_AUTO_TEST_CASE(a_file_that_holds_something_else_is_an_error) {
  for (const auto* garbage : {"", "\n", "0", "-1", "12 monkeys", "1\n\n", "0x10", "4294967296",
                              "0000000000000001 monkeys"}) {
    write(garbage);
    BOOST_CHECK_EXCEPTION(next(), std::runtime_error, [&](const std::exception& e) {
      return std::string(e.what()).find(file.string()) != std::string::npos;
    });
    BOOST_TEST(text() == garbage);
  }
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  BOOST_CHECK_THROW(next(), std::runtime_error);
}

BOOST_AUTO_TEST_CASE(the_last_one_has_none_after_it) {
  write("4294967294");
  BOOST_TEST(next() == 4294967295u);
  BOOST_CHECK_THROW(next(), std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::persistence::test
