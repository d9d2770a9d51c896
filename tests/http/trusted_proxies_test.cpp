// Whom the gateway takes for the client.
#include "http/serve/trusted_proxies.hpp"

#include <boost/test/unit_test.hpp>

using signalbox::http::trusted_proxies;

namespace {

std::string client_of(const trusted_proxies& proxies, const char* peer,
                      const std::vector<std::string_view>& forwarded_for) {
  return proxies.client_of(boost::asio::ip::make_address(peer), forwarded_for).to_string();
}

const trusted_proxies of_this_test({"10.0.0.0/8", "fd00::/8"});

}  // namespace

BOOST_AUTO_TEST_SUITE(clients_behind_proxies)

BOOST_AUTO_TEST_CASE(nobody_else_is_believed) {
  for (const auto* peer : {"192.0.2.1", "2001:db8::1", "11.0.0.1"}) {
    BOOST_TEST(client_of(of_this_test, peer, {"198.51.100.7"}) == peer);
    BOOST_TEST(client_of(of_this_test, peer, {"198.51.100.7, 10.1.1.1"}) == peer);
  }
  BOOST_TEST(client_of(trusted_proxies({}), "127.0.0.1", {"198.51.100.7"}) == "127.0.0.1");
  BOOST_TEST(client_of(trusted_proxies({}), "::ffff:127.0.0.1", {"198.51.100.7"}) == "127.0.0.1");
}

BOOST_AUTO_TEST_CASE(the_last_address_that_is_no_proxy_is_the_client) {
  const struct {
    std::vector<std::string_view> fields;
    const char* client;
  } cases[] = {
      {{}, "10.0.0.1"},
      {{""}, "10.0.0.1"},
      {{" , ,\t"}, "10.0.0.1"},
      {{"198.51.100.7"}, "198.51.100.7"},
      {{"198.51.100.7, 10.2.3.4,fd00::5"}, "198.51.100.7"},
      {{"1.1.1.1, 198.51.100.7 ,\t10.2.3.4"}, "198.51.100.7"},  // the first is what it says
      {{"no address, 198.51.100.7"}, "198.51.100.7"},
      {{"198.51.100.7,, 10.2.3.4,"}, "198.51.100.7"},
      {{"10.9.9.9, 10.2.3.4"}, "10.9.9.9"},  // all are proxies: the farthest
      // Several fields are one list.
      {{"1.1.1.1", "198.51.100.7", "10.2.3.4"}, "198.51.100.7"},
      {{"198.51.100.7, 10.2.3.4", "fd00::5, 10.2.3.5"}, "198.51.100.7"},
      {{"198.51.100.7", ""}, "198.51.100.7"},
      // As proxies write addresses.
      {{"198.51.100.7:4711"}, "198.51.100.7"},
      {{"2001:db8::7"}, "2001:db8::7"},
      {{"[2001:db8::7]"}, "2001:db8::7"},
      {{"[2001:DB8::7]:4711, [fd00::1]:80, 10.1.1.1:80"}, "2001:db8::7"},
      {{"::ffff:198.51.100.7"}, "198.51.100.7"},
      {{"198.51.100.7, ::ffff:10.1.1.1"}, "198.51.100.7"},
      {{"198.51.100.7, [::ffff:10.1.1.1]:80"}, "198.51.100.7"},
  };
  for (const auto& c : cases) {
    BOOST_TEST_CONTEXT((c.fields.empty() ? "none" : c.fields.front())) {
      BOOST_TEST(client_of(of_this_test, "10.0.0.1", c.fields) == c.client);
      const std::string as_before = client_of(of_this_test, "::ffff:10.0.0.1", c.fields);
      BOOST_TEST(as_before == c.client);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_address_makes_it_the_sender) {
  for (const auto* text : {"unknown",
                           "_hidden",
                           "198.51.100",
                           "198.51.100.256",
                           "198.51.100.7:",
                           "198.51.100.7:x",
                           "198.51.100.7:123456",
                           "[198.51.100.7]",
                           "[2001:db8::7",
                           "[2001:db8::7]80",
                           "[]",
                           "[::1]]",
                           "2001:db8::7%eth0",
                           "for=198.51.100.7",
                           "\"198.51.100.7\"",
                           "198.51.100.7 1.1.1.1",
                           "::g",
                           "198.51.100.7;proto=https",
                           "0x7f.1",
                           "localhost"}) {
    BOOST_TEST(client_of(of_this_test, "10.0.0.1", {text}) == "10.0.0.1", text);
    const std::string behind = std::string(text) + ", fd00::5";
    BOOST_TEST(client_of(of_this_test, "10.0.0.1", {"1.1.1.1", behind}) == "10.0.0.1", behind);
  }
}

BOOST_AUTO_TEST_SUITE_END()
