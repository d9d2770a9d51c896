// A load is for those who wait.
#include <boost/test/unit_test.hpp>

#include "scheduling/model_lifecycle.hpp"
#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;
using state = lifecycle_state;

BOOST_AUTO_TEST_SUITE(model_lifecycle_waits)

namespace {

constexpr time_point t0{1h};
const lifecycle_options defaults;

}  // namespace

BOOST_AUTO_TEST_CASE(nobody_waits_any_more_withdraws_the_request) {
  model_lifecycle life(defaults);
  life.ensure_ready(t0);
  life.activity(t0, true, t0);
  BOOST_CHECK((are<stop_asking>(life.activity(t0, false, t0))));
  BOOST_CHECK(life.state() == state::stopped);
  // The grant crossed the withdrawal.
  auto release = all<give_lease_back>(life.lease_granted(4, {{0, 16}}, t0));
  BOOST_REQUIRE_EQUAL(release.size(), 1u);
  BOOST_CHECK_EQUAL(release[0].token, 4u);
}

// The queue tells its activity seldom: a wait that is over soon is never told as one.
BOOST_AUTO_TEST_CASE(a_wait_that_was_too_short_to_be_told_withdraws_the_request_too) {
  model_lifecycle life(defaults);
  life.activity(t0, false, t0);
  life.ensure_ready(t0 + 100ms);
  BOOST_CHECK((are<stop_asking>(life.activity(t0 + 400ms, false, t0 + 500ms))));
  BOOST_CHECK(life.state() == state::stopped);

  auto options = defaults;
  options.pinned = true;
  model_lifecycle pinned(options);
  pinned.ensure_ready(t0);
  BOOST_CHECK(pinned.activity(t0, false, t0).empty());
  BOOST_CHECK(pinned.state() == state::awaiting_lease);
}

BOOST_AUTO_TEST_SUITE_END()
