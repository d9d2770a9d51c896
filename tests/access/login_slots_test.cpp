#include "access/login_slots.hpp"

#include <boost/test/unit_test.hpp>
#include <vector>

using namespace signalbox;

BOOST_AUTO_TEST_SUITE(logins)

BOOST_AUTO_TEST_CASE(nobody_takes_the_places_of_all) {
  const auto slots = std::make_shared<login_slots>();
  std::vector<std::shared_ptr<void>> held;
  const auto take = [&](const std::string& user, const std::string& address) {
    auto slot = slots->take(user, address);
    if (slot) held.push_back(slot);
    return slot != nullptr;
  };
  for (std::uint32_t i = 0; i < login_slots::max_per_user; ++i) BOOST_TEST(take("a", ""));
  BOOST_TEST(!take("a", ""));
  for (std::uint32_t i = 0; i < login_slots::max_per_address; ++i) {
    BOOST_TEST(take("user " + std::to_string(i), "here"));
  }
  BOOST_TEST(!take("b", "here"));
  BOOST_TEST(take("b", "there"));
  for (int i = 0; held.size() < login_slots::max_logins; ++i)
    take("other " + std::to_string(i), "");
  BOOST_TEST(!take("c", "elsewhere"));
  held.clear();
  BOOST_TEST(take("a", "here"));
}

BOOST_AUTO_TEST_CASE(a_slot_may_outlive_all_else) {
  auto slots = std::make_shared<login_slots>();
  auto slot = slots->take("a", "here");
  slots.reset();
  slot.reset();
}

BOOST_AUTO_TEST_CASE(an_address_is_that_of_its_peer) {
  const auto origin = [](const char* text) {
    return login_origin(boost::asio::ip::make_address(text));
  };
  BOOST_TEST(origin("127.0.0.5") == "127.0.0.5");
  BOOST_TEST(origin("::ffff:127.0.0.5") == "127.0.0.5");
  BOOST_TEST(origin("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::");
  BOOST_TEST(origin("2001:db8:1:2::7") == origin("2001:db8:1:2:3:4:5:6"));
}

BOOST_AUTO_TEST_SUITE_END()
