#include "persistence/migrator.hpp"

#include <boost/test/unit_test.hpp>
#include <functional>
#include <future>

#include "tests/persistence/support.hpp"

namespace signalbox::persistence::test {

namespace {

const migration first{1, "0001_first.sql", "CREATE TABLE one (n int); INSERT INTO one VALUES (1)"};
const migration second{2, "0002_second.sql", "CREATE TABLE two (n int)"};

auto says(const std::string& part) {
  return [part](const std::exception& error) {
    BOOST_TEST_MESSAGE(error.what());
    return std::string(error.what()).find(part) != std::string::npos;
  };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(migrator)

BOOST_AUTO_TEST_CASE(embedded_ones_are_numbered_from_1) {
  const auto& all = embedded_migrations();
  BOOST_REQUIRE(!all.empty());
  for (std::size_t i = 0; i < all.size(); ++i) {
    BOOST_TEST(all[i].number == static_cast<int>(i) + 1);
    BOOST_TEST(!all[i].sql.empty());
  }
  BOOST_TEST(all[0].name == "0001_crashes_and_usage.sql");
}

BOOST_AUTO_TEST_CASE(from_nothing_and_again) {
  fresh_database fresh;
  const int count = static_cast<int>(embedded_migrations().size());
  const migration_report report = migrate(fresh.db);
  BOOST_TEST(report.applied == count);
  BOOST_TEST(report.version == count);
  BOOST_TEST(query(fresh.db, "SELECT count(*) FROM crashes") == "0");
  const migration_report again = migrate(fresh.db);
  BOOST_TEST(again.applied == 0);
  BOOST_TEST(again.version == count);
}

BOOST_AUTO_TEST_CASE(only_what_is_new_is_applied) {
  fresh_database fresh;
  BOOST_TEST(migrate(fresh.db, {first}).applied == 1);
  const migration_report report = migrate(fresh.db, {first, second});
  BOOST_TEST(report.applied == 1);
  BOOST_TEST(report.version == 2);
  BOOST_TEST(query(fresh.db, "SELECT count(*) FROM one") == "1");
}

BOOST_AUTO_TEST_CASE(edited_is_refused) {
  fresh_database fresh;
  migrate(fresh.db, {first});
  migration edited = first;
  edited.sql = "CREATE TABLE one (n bigint)";
  BOOST_CHECK_EXCEPTION(migrate(fresh.db, {edited, second}), std::runtime_error,
                        says("0001_first.sql was edited"));
  BOOST_TEST(query(fresh.db, "SELECT to_regclass('two') IS NULL") == "t");
}

BOOST_AUTO_TEST_CASE(newer_database_is_refused) {
  fresh_database fresh;
  migrate(fresh.db, {first, second});
  BOOST_CHECK_EXCEPTION(migrate(fresh.db, {first}), std::runtime_error, says("newer"));
}

BOOST_AUTO_TEST_CASE(failing_statement_leaves_nothing_of_its_migration) {
  fresh_database fresh;
  const migration broken{2, "0002_broken.sql", "CREATE TABLE half (n int); SELECT 1/0"};
  BOOST_CHECK_EXCEPTION(migrate(fresh.db, {first, broken}), std::runtime_error,
                        says("0002_broken.sql failed"));
  BOOST_TEST(query(fresh.db, "SELECT to_regclass('half') IS NULL") == "t");
  BOOST_TEST(query(fresh.db, "SELECT max(number) FROM schema_migrations") == "1");
  BOOST_TEST(migrate(fresh.db, {first, second}).applied == 1);  // and the way is free
}

BOOST_AUTO_TEST_CASE(wrong_numbers_are_refused) {
  fresh_database fresh;
  BOOST_CHECK_THROW(migrate(fresh.db, {second}), std::logic_error);
}

BOOST_AUTO_TEST_CASE(several_at_once_apply_each_once) {
  fresh_database fresh;
  std::vector<std::future<int>> runs;
  for (int i = 0; i < 4; ++i) {
    runs.push_back(std::async(std::launch::async, [&fresh] {
      return migrate(fresh.db, {first, second}).applied;
    }));
  }
  int applied = 0;
  for (auto& run : runs) applied += run.get();
  BOOST_TEST(applied == 2);
  BOOST_TEST(query(fresh.db, "SELECT count(*) FROM one") == "1");
}

BOOST_AUTO_TEST_CASE(no_database) {
  database nowhere("host=/nonexistent dbname=x");
  BOOST_CHECK_THROW(migrate(nowhere), database_unavailable);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::persistence::test
