// The ledger over days, restarts and absences of the database; the clocks are the test's.
#include "actors/usage_ledger_actor.hpp"

#include <boost/test/unit_test.hpp>
#include <caf/all.hpp>

#include <atomic>
#include <chrono>

#include "persistence/migrator.hpp"
#include "persistence/stores.hpp"
#include "tests/persistence/support.hpp"

namespace signalbox::test {
BOOST_AUTO_TEST_SUITE(usage_ledger_tests)
namespace {

using namespace std::chrono_literals;
using persistence::test::query;

constexpr auto limit = 60s;                 // for any answer
constexpr std::int32_t january_31 = 20484;  // of 2026

config::settings make_settings() {
  config::settings s;
  s.models.resize(1);
  s.models[0].name = "demo";
  s.usage.clients_per_key = 3;
  return s;
}

struct fixture : persistence::test::fresh_database {
  fixture() {
    persistence::migrate(db);
    start();
  }
  ~fixture() { stop(); }

  void start() {
    ledger = spawn_usage_ledger(
        system, settings, db, recorder,
        [this] { return wall_time(std::chrono::days(today + set_ahead)); },
        [this] { return time_point(std::chrono::days(today.load())); });
  }
  void stop() {
    self->send_exit(ledger, caf::exit_reason::user_shutdown);
    self->wait_for(caf::actor_cast<caf::actor>(ledger));
    ledger = usage_ledger_actor{};
  }

  static usage_row row_of(const std::string& key, const std::string& client, std::uint64_t requests,
                          std::int32_t day) {
    usage_row row;
    row.key_id = key;
    row.client_id = client;
    row.model = "demo";
    row.day = day;
    row.requests = row.successes = requests;
    return row;
  }
  void use(const std::string& key, const std::string& client, std::uint64_t requests = 1) {
    self->send(ledger, usage_batch{{row_of(key, client, requests, today + set_ahead)}});
  }

  bool flush() {
    bool durable = false;
    self->request(ledger, limit, flush_usage{})
        .receive([&](bool answer) { durable = answer; },
                 [&](const caf::error& e) { BOOST_ERROR(caf::to_string(e)); });
    return durable;
  }

  // As when the machine of the database is switched off, and on again.
  void allow_connections(bool allowed) {
    persistence::database admin(url + " dbname=postgres", 1);
    const auto name = url.substr(url.rfind('=') + 1);
    persistence::test::execute(
        admin, "ALTER DATABASE " + name + " ALLOW_CONNECTIONS " + (allowed ? "true" : "false"));
    persistence::test::execute(
        admin,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "'");
  }

  std::string partitions() {
    return query(db,
                 "SELECT string_agg(right(relname, 6), ' ' ORDER BY relname) FROM pg_class"
                 " WHERE relname ~ '^usage_daily_[0-9]{6}$'");
  }
  std::string clients(const std::string& key) {
    return query(db,
                 "SELECT string_agg(client_id || '=' || requests, ' ' ORDER BY client_id)"
                 " FROM usage_daily WHERE key_id = '" +
                     key + "'");
  }

  config::settings settings = make_settings();
  metrics recorder{settings.gpus.size(), 1};
  std::atomic<std::int32_t> today{january_31};
  std::atomic<std::int32_t> set_ahead{0};  // days by which the wall clock is wrong
  caf::actor_system_config cfg;
  caf::actor_system system{cfg};
  caf::scoped_actor self{system};
  usage_ledger_actor ledger;
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(clients_beyond_the_bound_are_counted_as_other, fixture) {
  for (const auto* client : {"a", "b", "", "c", "d", "e", "a", "d"}) use("key", client);
  use("quiet", "z");
  BOOST_TEST(flush());
  BOOST_TEST(clients("key") == "=1 a=2 b=1 c=1 other=3");
  BOOST_TEST(clients("quiet") == "z=1");
  ++today;
  use("key", "e");
  BOOST_TEST(flush());
  BOOST_TEST(clients("key") == "=1 a=2 b=1 c=1 e=1 other=3");  // a day has its own
}

BOOST_FIXTURE_TEST_CASE(clients_are_known_after_a_restart, fixture) {
  for (const auto* client : {"a", "b", "c", "d"}) use("key", client);
  BOOST_TEST(flush());
  stop();
  start();
  for (const auto* client : {"e", "c", "f"}) use("key", client);
  BOOST_TEST(flush());
  BOOST_TEST(clients("key") == "a=1 b=1 c=2 other=3");
}

BOOST_FIXTURE_TEST_CASE(clients_are_known_after_a_restart_without_a_database, fixture) {
  for (const auto* client : {"a", "b", "c"}) use("key", client);
  BOOST_TEST(flush());
  stop();
  allow_connections(false);
  start();
  for (const auto* client : {"e", "c", "f"}) use("key", client);
  BOOST_TEST(!flush());
  allow_connections(true);
  BOOST_TEST(flush());
  BOOST_TEST(clients("key") == "a=1 b=1 c=2 other=2");
}

BOOST_FIXTURE_TEST_CASE(missing_models_outlive_a_restart, fixture) {
  const auto ask_for = [&](const std::string& name, const std::string& client) {
    const wall_time at = std::chrono::days(today.load()) + wall_time{};
    self->send(ledger, missing_model_batch{{{name, 1, at, at, client, "key"}}});
  };
  for (int i = 0; i < 3000; ++i) ask_for("m" + std::to_string(i), "");
  ask_for("gpt-4", "first");
  BOOST_TEST(flush());
  BOOST_TEST(query(db, "SELECT count(*) FROM missing_models") == "1000");
  stop();
  start();
  ++today;
  ask_for("gpt-4", "second");
  ask_for(std::string(300, 'x') + "\xff", "");
  BOOST_TEST(flush());
  missing_model_list list;
  self->request(ledger, limit, list_missing_models{2})
      .receive([&](const missing_model_list& answer) { list = answer; },
               [&](const caf::error& e) { BOOST_ERROR(caf::to_string(e)); });
  BOOST_REQUIRE(list.models.size() == 2);
  BOOST_TEST(list.models[0].model == std::string(200, 'x'));
  BOOST_TEST(list.models[1].model == "gpt-4");
  BOOST_TEST(list.models[1].requests == 2u);
  BOOST_TEST(list.models[1].last_client_id == "second");
  BOOST_TEST(query(db, "SELECT requests FROM missing_models WHERE model = 'gpt-4'") == "2");
}

BOOST_FIXTURE_TEST_CASE(partitions_are_made_ahead_and_old_ones_dropped_after_midnight, fixture) {
  BOOST_TEST(flush());  // without any usage
  BOOST_TEST(partitions() == "202601 202602");
  use("key", "", 5);
  BOOST_TEST(flush());
  ++today;
  BOOST_TEST(flush());
  BOOST_TEST(partitions() == "202601 202602 202603");
  today = january_31 + 89;
  use("key", "", 7);
  BOOST_TEST(flush());
  ++today;
  use("key", "", 7);
  BOOST_TEST(flush());
  BOOST_TEST(query(db, "SELECT sum(requests) FROM usage_daily") == "19");
  ++today;
  use("key", "", 7);
  BOOST_TEST(flush());
  BOOST_TEST(partitions() == "202602 202603 202604 202605 202606");
  BOOST_TEST(query(db, "SELECT sum(requests) FROM usage_daily") == "21");
}

BOOST_FIXTURE_TEST_CASE(a_wall_clock_that_jumps_makes_no_new_day, fixture) {
  for (const auto* client : {"a", "b", "c"}) use("key", client);
  BOOST_TEST(flush());
  self->send(ledger, usage_batch{{row_of("key", "d", 1, today)}});
  set_ahead = 365;
  BOOST_TEST(flush());
  BOOST_TEST(partitions() == "202601 202602");
  BOOST_TEST(clients("key") == "a=1 b=1 c=1 other=1");
}

BOOST_FIXTURE_TEST_CASE(a_start_with_a_clock_a_year_ahead_drops_nothing, fixture) {
  for (int day = 0; day < 3; ++day, ++today) {
    use("key", "");
    BOOST_TEST(flush());
  }
  stop();
  set_ahead = 365;
  start();
  for (int day = 0; day < 2; ++day, ++today) {
    use("key", "");
    BOOST_TEST(flush());
  }
  BOOST_TEST(query(db, "SELECT sum(requests) FROM usage_daily") == "5");
  BOOST_TEST(partitions() == "202601 202602 202603 202702 202703");
}

BOOST_FIXTURE_TEST_CASE(who_reads_for_days_holds_up_nothing, fixture) {
  query(db, "SELECT usage_make_partition('2020-01-15')");
  persistence::usage_store(db).add(
      persistence::make_uuid(),
      {row_of("key", "", 1, january_31 - 2), row_of("key", "", 1, january_31 - 1)});
  persistence::test::while_open(db, "SELECT count(*) FROM usage_daily", [&] {
    for (int day = 0; day < 3; ++day, ++today) {
      use("key", "");
      BOOST_TEST(flush());
    }
    BOOST_TEST(query(db, "SELECT sum(requests) FROM usage_daily") == "5");
    BOOST_TEST(partitions() == "202001 202601 202602");
  });
  stop();
  start();
  BOOST_TEST(flush());
  BOOST_TEST(partitions() == "202601 202602 202603");
}

BOOST_FIXTURE_TEST_CASE(who_locks_the_table_makes_usage_wait, fixture) {
  use("key", "");
  BOOST_TEST(flush());
  persistence::test::while_open(db, "LOCK TABLE usage_daily", [&] {
    use("key", "", 2);
    BOOST_TEST(!flush());
  });
  BOOST_TEST(flush());
  BOOST_TEST(query(db, "SELECT sum(requests) FROM usage_daily") == "3");
  BOOST_TEST(recorder.render().find("signalbox_usage_dropped_total 0\n") != std::string::npos);
}

BOOST_FIXTURE_TEST_CASE(a_report_that_nobody_waits_for_is_not_made, fixture) {
  const auto ask = [&](time_point deadline) {
    list_usage question;
    question.last_day = january_31;
    question.wait.deadline = deadline;
    caf::error problem;
    self->request(ledger, limit, std::move(question))
        .receive([](const usage_report&) {}, [&](caf::error& e) { problem = std::move(e); });
    return problem;
  };
  BOOST_TEST(!ask(never));
  BOOST_TEST((ask(std::chrono::steady_clock::now()) == caf::sec::request_timeout));
}

BOOST_FIXTURE_TEST_CASE(midnights_without_a_database_lose_nothing, fixture) {
  use("key", "a", 1);
  BOOST_TEST(flush());
  allow_connections(false);
  for (int day = 0; day < 70; ++day) {
    ++today;
    use("key", "a", 10);
  }
  BOOST_TEST(!flush());
  allow_connections(true);
  BOOST_TEST(flush());
  BOOST_TEST(query(db, "SELECT sum(requests) FROM usage_daily") == "701");
  BOOST_TEST(query(db, "SELECT count(*) FROM usage_daily") == "71");
  BOOST_TEST(partitions() == "202601 202602 202603 202604 202605");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::test
