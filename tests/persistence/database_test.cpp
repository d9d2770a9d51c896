#include "persistence/database.hpp"

#include <signal.h>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <future>
#include <latch>
#include <optional>
#include <sstream>

#include "persistence/cluster/private_cluster.hpp"
#include "persistence/session.hpp"
#include "tests/persistence/support.hpp"

namespace signalbox::persistence::test {

BOOST_AUTO_TEST_SUITE(databases)

BOOST_AUTO_TEST_CASE(sessions_have_limits) {
  fresh_database fresh;
  BOOST_TEST(query(fresh.db, "SHOW statement_timeout") == "30s");
  BOOST_TEST(query(fresh.db, "SHOW idle_in_transaction_session_timeout") == "1min");
  BOOST_TEST(query(fresh.db, "SHOW application_name") == "signalbox");
  database own(fresh.url + " application_name=mine options='-c statement_timeout=1s'");
  BOOST_TEST(query(own, "SHOW application_name") == "mine");
  BOOST_TEST(query(own, "SHOW statement_timeout") == "1s");
}

BOOST_AUTO_TEST_CASE(malformed_url_is_refused_without_repeating_it) {
  BOOST_CHECK_EXCEPTION(database("postgresql://user:secret@[::1/x"), std::invalid_argument,
                        [](const std::exception& error) {
                          return std::string(error.what()).find("secret") == std::string::npos;
                        });
}

BOOST_AUTO_TEST_CASE(bad_statement_passes_through_and_the_connection_stays) {
  fresh_database fresh;
  database one(fresh.url, 1);
  const std::string pid = query(one, "SELECT pg_backend_pid()");
  BOOST_CHECK_THROW(query(one, "SELECT nonsense"), pqxx::sql_error);
  BOOST_CHECK_THROW(one.with_connection([](session&) { throw std::logic_error("ours"); }),
                    std::logic_error);
  BOOST_TEST(query(one, "SELECT pg_backend_pid()") == pid);
}

BOOST_AUTO_TEST_CASE(statement_that_takes_too_long_is_worth_another_try) {
  fresh_database fresh;
  BOOST_CHECK_THROW(query(fresh.db, "SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(60)"),
                    database_unavailable);
  BOOST_TEST(query(fresh.db, "SELECT 1") == "1");
}

BOOST_AUTO_TEST_CASE(lock_that_is_not_granted_is_worth_another_try) {
  fresh_database fresh;
  database one(fresh.url, 1);
  execute(fresh.db, "CREATE TABLE t ()");
  const std::string pid = query(one, "SELECT pg_backend_pid()");
  while_open(fresh.db, "LOCK TABLE t", [&] {
    BOOST_CHECK_THROW(query(one, "SET LOCAL lock_timeout = '20ms'; SELECT FROM t"),
                      lock_not_granted);
  });
  BOOST_TEST(query(one, "SELECT pg_backend_pid()") == pid);
}

BOOST_AUTO_TEST_CASE(closing_ends_what_waits_for_the_server) {
  fresh_database fresh;
  database two(fresh.url + " options='-c statement_timeout=0'", 2);
  auto sleeper = std::async(std::launch::async, [&] {
    BOOST_CHECK_THROW(query(two, "SELECT pg_sleep(100000)"), database_unavailable);
  });
  while (query(fresh.db,
               "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
               " AND query LIKE 'SELECT pg_sleep%' AND datname = current_database()") != "1") {
  }
  two.close();
  sleeper.get();
  BOOST_CHECK_THROW(query(two, "SELECT 1"), database_unavailable);
}

BOOST_AUTO_TEST_CASE(pool_is_bounded) {
  fresh_database fresh;
  database two(fresh.url, 2);
  std::latch both_taken(3), finish(1);
  std::vector<std::future<void>> users;
  for (int i = 0; i < 2; ++i) {
    users.push_back(std::async(std::launch::async, [&] {
      two.with_connection([&](session&) {
        both_taken.arrive_and_wait();
        finish.wait();
      });
    }));
  }
  both_taken.arrive_and_wait();
  BOOST_CHECK_THROW(query(two, "SELECT 1"), database_unavailable);
  finish.count_down();
  for (auto& user : users) user.get();
  BOOST_TEST(query(two, "SELECT 1") == "1");
}

BOOST_AUTO_TEST_CASE(connection_that_was_ended_while_idle_is_replaced) {
  fresh_database fresh;
  database one(fresh.url, 1);
  const std::string pid = query(one, "SELECT pg_backend_pid()");
  // With a timeout the server waits until it is gone.
  BOOST_TEST(query(fresh.db, "SELECT pg_terminate_backend(" + pid + ", 10000)") == "t");
  BOOST_TEST(query(one, "SELECT pg_backend_pid()") != pid);
}

BOOST_AUTO_TEST_CASE(connection_that_is_ended_in_use_is_unavailable) {
  fresh_database fresh;
  database one(fresh.url, 1);
  BOOST_CHECK_THROW(query(one, "SELECT pg_terminate_backend(pg_backend_pid())"),
                    database_unavailable);
  BOOST_TEST(query(one, "SELECT 1") == "1");
}

BOOST_AUTO_TEST_CASE(too_many_connections_is_unavailable) {
  fresh_database fresh;
  execute(fresh.db, "CREATE ROLE few LOGIN CONNECTION LIMIT 1");
  database few(fresh.url + " user=few", 2);
  few.with_connection([&](session&) {
    BOOST_CHECK_EXCEPTION(few.ping(), database_unavailable, [](const auto& error) {
      return !dynamic_cast<const database_refused*>(&error);  // there may be room later
    });
  });
  execute(fresh.db, "DROP ROLE few");
}

namespace {

// In one line, with the code and not with the password.
bool is_refusal(const database_refused& error, const std::string& sqlstate) {
  const std::string text = error.what();
  BOOST_TEST_MESSAGE(text);
  return text.find("(SQLSTATE " + sqlstate + ")") != std::string::npos &&
         text.find_first_of("\t\n") == std::string::npos &&
         text.find("s3cret") == std::string::npos;
}

void check_refused(const std::string& url, const std::string& sqlstate) {
  database db(url, 1);
  BOOST_CHECK_EXCEPTION(db.ping(), database_refused,
                        [&](const auto& error) { return is_refusal(error, sqlstate); });
}

}  // namespace

BOOST_AUTO_TEST_CASE(who_is_not_let_in_is_told_so) {
  temporary_folder folder;
  {
    private_cluster cluster(folder.path());
    database db(cluster.url(), 1);
    execute(db, "CREATE ROLE guarded LOGIN PASSWORD 's3cret'");
    execute(db, "CREATE ROLE outsider LOGIN");
    execute(db, "CREATE ROLE no_login");
    execute(db, "REVOKE CONNECT ON DATABASE template1 FROM public");
  }
  const auto file = folder.path() / "postgres/pg_hba.conf";
  std::ostringstream rules;
  rules << "local all guarded scram-sha-256\nlocal all outsider reject\n"
        << std::ifstream(file).rdbuf();
  std::ofstream(file) << rules.str();

  private_cluster cluster(folder.path());
  check_refused(cluster.url() + " dbname=nowhere", "3D000");
  check_refused(cluster.url() + " user=nobody", "28000");
  check_refused(cluster.url() + " user=outsider", "28000");
  check_refused(cluster.url() + " user=no_login", "28000");
  check_refused(cluster.url() + " user=guarded", "28P01");  // no password at all
  check_refused(cluster.url() + " user=guarded password=not-s3cret", "28P01");
  check_refused(cluster.url() + " user=guarded password=s3cret dbname=template1", "42501");
  database allowed(cluster.url() + " user=guarded password=s3cret");
  BOOST_TEST(query(allowed, "SELECT 1") == "1");
}

BOOST_AUTO_TEST_CASE(nobody_there_is_no_refusal) {
  database db("postgresql://127.0.0.1:1/nowhere", 1);
  BOOST_CHECK_EXCEPTION(db.ping(), database_unavailable, [](const database_unavailable& error) {
    return !dynamic_cast<const database_refused*>(&error) &&
           std::string(error.what()).find_first_of("\t\n") == std::string::npos;
  });
}

BOOST_AUTO_TEST_CASE(server_stopped_and_started_again) {
  temporary_folder folder;
  std::optional<private_cluster> cluster(folder.path());
  database db(cluster->url(), 2);
  BOOST_TEST(query(db, "SELECT 1") == "1");
  db.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    tx.exec("SELECT 1");
    cluster.reset();
    BOOST_CHECK_THROW(tx.exec("SELECT 1"), std::exception);
    BOOST_CHECK_THROW(query(db, "SELECT 1"), database_unavailable);
  });
  BOOST_CHECK_THROW(query(db, "SELECT 1"), database_unavailable);
  cluster.emplace(folder.path());
  BOOST_TEST(query(db, "SELECT 1") == "1");
}

// The server throws everybody out and recovers; the same object goes on.
BOOST_AUTO_TEST_CASE(backend_killed) {
  temporary_folder folder;
  private_cluster cluster(folder.path());
  database db(cluster.url(), 1);
  execute(db, "CREATE TABLE kept (n int)");
  const pid_t backend = std::stoi(query(db, "SELECT pg_backend_pid()"));
  BOOST_CHECK_THROW(db.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    BOOST_REQUIRE(::kill(backend, SIGKILL) == 0);
    tx.exec("SELECT pg_sleep(60)");
  }),
                    database_unavailable);
  // A connection made before the server noticed may be lost too; then it waits for the recovery.
  bool works = false;
  for (int i = 0; i < 10 && !works; ++i) {
    try {
      works = query(db, "SELECT count(*) FROM kept") == "0";
    } catch (const database_unavailable& error) {
      BOOST_TEST_MESSAGE(error.what());
    }
  }
  BOOST_TEST(works);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::persistence::test
