// What model_queue adds to admission. How it speaks with its actors is in tests/actors.
#include "scheduling/model_queue.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/scheduling/effects.hpp"

namespace signalbox::scheduling::test {
BOOST_AUTO_TEST_SUITE(model_queue_tests)
namespace {

using namespace std::chrono_literals;

constexpr time_point start{1h};

model_queue_options for_shards(std::size_t shards) {
  return {.limits = {.expected_units = 4, .max_waiting = 8}, .shards = shards};
}

std::uint32_t credits_in(const queue_effects& effects) {
  std::uint32_t sum = 0;
  for (const auto& given : signalbox::test::all<give_credits>(effects)) sum += given.count;
  return sum;
}

}  // namespace

BOOST_AUTO_TEST_CASE(nothing_is_given_before_it_is_known_what_all_shards_have_in_flight) {
  model_queue q(for_shards(2));
  q.add_backend(1, start);
  q.open(1, 4, 1, start);
  BOOST_TEST(credits_in(q.attach_shard(0, {}, start)) == 0u);
  const backend_units in_flight{1, 2};
  BOOST_TEST(credits_in(q.attach_shard(1, {&in_flight, 1}, start)) == 2u);
  BOOST_TEST(q.permits().held(1) == 4u);
}

BOOST_AUTO_TEST_CASE(a_backend_that_closed_meanwhile_stays_closed) {
  model_queue q(for_shards(1));
  q.add_backend(1, start);
  q.open(1, 4, 1, start);
  q.close(1, 1, false, start);
  q.attach_shard(0, {}, start);
  BOOST_TEST(!q.permits().is_open());
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace signalbox::scheduling::test
