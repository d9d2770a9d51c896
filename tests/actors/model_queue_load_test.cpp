// What a waiting or refused request is told of the load of its model.
#include "tests/actors/model_queue_fixture.hpp"

namespace signalbox::test {
BOOST_AUTO_TEST_SUITE(model_queue_load_tests)

BOOST_FIXTURE_TEST_CASE(a_place_counts_the_load_in, queue_fixture) {
  submit({1, 2});
  shard_batch query;
  query.place_queries = {2, 99};
  send(query);
  const auto places = only<ticket_placed>(inbox->take());
  BOOST_REQUIRE_EQUAL(places.size(), 1u);  // an unknown ticket has none
  BOOST_TEST(places[0].position == 2u);
  BOOST_TEST(places[0].eta_s == 7.0);  // expected_load_s; no service time is known yet
}

BOOST_FIXTURE_TEST_CASE(what_is_left_of_a_load_counts_down, queue_fixture) {
  const auto eta_of = [this](ticket_id id) {
    shard_batch query;
    query.place_queries = {id};
    send(query);
    return only<ticket_placed>(inbox->take()).at(0).eta_s;
  };
  submit({1});
  caf::anon_send(queue, load_estimated{1, 90s, system.now() + 90s});
  system.run();
  system.advance(1s);
  BOOST_TEST(eta_of(1) == 89.0);
  submit({2}, 0s);
  auto refused = only<ticket_refused>(inbox->take());
  BOOST_REQUIRE_EQUAL(refused.size(), 1u);
  BOOST_TEST(refused[0].retry_after_s == 90.0);  // what is left, and the least there is

  system.advance(100s, 1s);       // it takes longer than it used to
  BOOST_TEST(eta_of(1) == 11.0);  // as long again as it is late
  submit({3}, 0s);
  BOOST_TEST(only<ticket_refused>(inbox->take()).at(0).retry_after_s == 12.0);

  caf::anon_send(queue, load_estimated{1, 95s});  // that came to nothing; the next has yet to begin
  submit({4}, 0s);
  BOOST_TEST(only<ticket_refused>(inbox->take()).at(0).retry_after_s == 96.0);
}

BOOST_FIXTURE_TEST_CASE(a_full_queue_counts_the_load_in_and_a_refusal_in_force_does_not,
                        queue_fixture) {
  submit({1, 2, 3, 4, 5});
  auto refused = only<ticket_refused>(inbox->take());
  BOOST_REQUIRE_EQUAL(refused.size(), 1u);
  BOOST_TEST((refused[0].why == refusal::queue_full));
  BOOST_TEST(refused[0].retry_after_s == 8.0);  // expected_load_s and a second
  caf::anon_send(queue, refuse_waiting{1, refusal::model_failed, 4.0, "it does not start"});
  system.run();
  refused = only<ticket_refused>(inbox->take());
  BOOST_REQUIRE_EQUAL(refused.size(), 4u);
  BOOST_TEST(refused[0].retry_after_s == 4.0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::test
