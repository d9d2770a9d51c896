#include "actors/missing_models.hpp"

#include <boost/test/unit_test.hpp>

namespace signalbox::test {
namespace {

missing_model missing(const std::string& name, std::int64_t second,
                      const std::string& client = "") {
  const wall_time at{std::chrono::seconds(second)};
  return {name, 1, at, at, client, "key"};
}

std::string names(const std::vector<missing_model>& models) {
  std::string out;
  for (const auto& m : models) out += m.model + "=" + std::to_string(m.requests) + " ";
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(names_that_no_model_has)

BOOST_AUTO_TEST_CASE(are_added_up_and_the_latest_is_first) {
  missing_models all(10);
  all.add(missing("a", 1, "first"));
  all.add(missing("b", 2));
  all.add(missing("a", 3, "second"));
  BOOST_TEST(names(all.newest(10)) == "a=2 b=1 ");
  BOOST_TEST(names(all.newest(1)) == "a=2 ");
  const auto a = all.newest(1).front();
  BOOST_TEST((a.first_seen == wall_time(std::chrono::seconds(1))));
  BOOST_TEST((a.last_seen == wall_time(std::chrono::seconds(3))));
  BOOST_TEST(a.last_client_id == "second");
}

BOOST_AUTO_TEST_CASE(what_comes_late_is_no_newer) {
  missing_models all(3);
  all.add(missing("c", 3));
  all.add(missing("e", 5, "last"));
  all.add(missing("d", 4));
  BOOST_TEST(names(all.newest(10)) == "e=1 d=1 c=1 ");
  all.add(missing("b", 2));  // older than all three
  BOOST_TEST(names(all.newest(10)) == "e=1 d=1 c=1 ");
  all.add(missing("e", 1, "first"));
  BOOST_TEST(names(all.newest(10)) == "e=2 d=1 c=1 ");
  BOOST_TEST(all.newest(1).front().last_client_id == "last");
  all.add(missing("c", 6));
  BOOST_TEST(names(all.newest(10)) == "c=2 e=2 d=1 ");
}

BOOST_AUTO_TEST_CASE(only_what_changed_is_saved) {
  missing_models all(10);
  all.learn({missing("old", 2), missing("older", 1)});
  BOOST_TEST(names(all.unsaved()).empty());
  all.add(missing("new", 3));
  all.add(missing("older", 4));
  BOOST_TEST(names(all.unsaved()) == "older=2 new=1 ");
  all.all_are_saved();
  BOOST_TEST(names(all.unsaved()).empty());
  BOOST_TEST(names(all.newest(10)) == "older=2 new=1 old=1 ");
}

BOOST_AUTO_TEST_CASE(what_is_learned_late_is_older_and_within_the_limit) {
  missing_models all(3);
  all.add(missing("b", 9, "now"));
  all.learn({missing("c", 3, "then"), missing("b", 2, "then"), missing("a", 1), missing("z", 0)});
  BOOST_TEST(names(all.newest(10)) == "b=2 c=1 a=1 ");
  BOOST_TEST(all.newest(1).front().last_client_id == "now");
}

BOOST_AUTO_TEST_CASE(a_hundred_thousand_names_leave_the_last_thousand) {
  missing_models all(1000);
  for (int i = 0; i < 100'000; ++i) {
    all.add(missing("m" + std::to_string(i), i));
    if (i % 100 == 0) all.add(missing("often", i));
  }
  const auto left = all.newest(100'000);
  BOOST_TEST(left.size() == 1000u);
  BOOST_TEST(left.front().model == "m99999");
  const auto often =
      std::find_if(left.begin(), left.end(), [](const auto& m) { return m.model == "often"; });
  BOOST_REQUIRE((often != left.end()));
  BOOST_TEST(often->requests == 1000u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::test
