// What operators have drained.
#include "http/serve/drain_switch.hpp"

#include <boost/test/unit_test.hpp>

using signalbox::http::drain_switch;

BOOST_AUTO_TEST_SUITE(drain_switches)

BOOST_AUTO_TEST_CASE(a_model_and_the_gateway_are_drained_apart) {
  drain_switch drains;
  BOOST_TEST(!drains.is_drained("a"));
  drains.set("a", true);
  drains.set("a", true);
  BOOST_TEST(drains.is_drained("a"));
  BOOST_TEST(!drains.is_drained("b"));
  drains.set_all(true);
  BOOST_TEST(drains.is_drained("b"));
  drains.set_all(false);
  BOOST_TEST(drains.is_drained("a"));
  BOOST_TEST(!drains.is_drained("b"));
  drains.set("b", false);
  drains.set("a", false);
  BOOST_TEST(!drains.is_drained("a"));
}

BOOST_AUTO_TEST_CASE(it_tells_what_is_drained) {
  drain_switch drains;
  drains.set("b", true);
  drains.set("a", true);
  const std::vector<std::string> expected{"a", "b"};
  BOOST_TEST(drains.now().models == expected, boost::test_tools::per_element());
  BOOST_TEST(!drains.now().is_all);
  drains.set_all(true);
  BOOST_TEST(drains.now().is_all);
}

BOOST_AUTO_TEST_SUITE_END()
