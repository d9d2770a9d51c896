// Names that no model has, as they are kept over a restart.
#include <boost/test/unit_test.hpp>

#include "persistence/stores.hpp"
#include "tests/persistence/support.hpp"

namespace signalbox::persistence::test {

namespace {

missing_model missing(const std::string& name, std::uint64_t requests, std::int64_t seconds) {
  const wall_time at{std::chrono::seconds(seconds)};
  return {name, requests, at, at, "client", "key"};
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(missing_model_rows, store_fixture<missing_model_store>)

BOOST_AUTO_TEST_CASE(sums_are_saved_and_a_second_time_changes_nothing) {
  auto later = missing("gpt-4", 5, 20);
  later.first_seen = wall_time(std::chrono::seconds(10));
  later.last_client_id = "";
  store.save({missing("gpt-4", 2, 10), missing("'\"\\{},\n😀", 1, 15)});
  for (int i = 0; i < 2; ++i) store.save({later});
  const auto found = store.newest();
  BOOST_REQUIRE(found.size() == 2);
  BOOST_TEST(found[0].model == "gpt-4");
  BOOST_TEST(found[0].requests == 5u);
  BOOST_TEST((found[0].first_seen == later.first_seen));
  BOOST_TEST((found[0].last_seen == later.last_seen));
  BOOST_TEST(found[0].last_client_id.empty());
  BOOST_TEST(found[0].last_key_id == "key");
  BOOST_TEST(found[1].model == "'\"\\{},\n😀");
}

BOOST_AUTO_TEST_CASE(the_least_recently_seen_go) {
  for (int batch = 0; batch < 3; ++batch) {
    std::vector<missing_model> models;
    for (int i = 0; i < 1000; ++i) {
      models.push_back(missing("m" + std::to_string(batch * 1000 + i), 1, batch * 1000 + i));
    }
    store.save(models);
    BOOST_TEST(query(db, "SELECT count(*) FROM missing_models") == "1000");
  }
  BOOST_TEST(store.newest().front().model == "m2999");
  BOOST_TEST(store.newest().back().model == "m2000");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::persistence::test
