// Which addresses a network has, and what is none.
#include "config/network.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/config/support.hpp"

using signalbox::config::error_of;
using signalbox::config::network;
using signalbox::config::parse_ip;

BOOST_AUTO_TEST_SUITE(networks)

BOOST_AUTO_TEST_CASE(a_network_has_its_addresses_and_no_others) {
  const struct {
    const char* text;
    std::vector<const char*> in, out;
  } cases[] = {
      {"10.1.2.3", {"10.1.2.3", "::ffff:10.1.2.3"}, {"10.1.2.2", "::10.1.2.3"}},
      {"10.1.2.0/23", {"10.1.2.0", "10.1.3.255"}, {"10.1.1.255", "10.1.4.0"}},
      {"10.0.0.0/7", {"10.0.0.1", "11.255.255.255"}, {"12.0.0.0", "9.255.255.255"}},
      {"0.0.0.0/0", {"0.0.0.0", "255.255.255.255"}, {"::", "::1", "2001:db8::1"}},
      {"::/0", {"::", "::1", "2001:db8::1"}, {"0.0.0.0", "127.0.0.1", "::ffff:10.1.2.3"}},
      {"::ffff:10.0.0.0/104", {"10.1.2.3", "::ffff:10.1.2.3"}, {"11.0.0.0", "::a00:1"}},
      {"2001:db8::/33", {"2001:db8:7fff::1"}, {"2001:db8:8000::", "2001:db7:ffff::"}},
      {"2001:DB8::1", {"2001:db8::1"}, {"2001:db8::2"}},
      {"2001:db8::1/128", {"2001:db8::1"}, {"2001:db8::"}},
  };
  for (const auto& c : cases) {
    const auto parsed = network::parse(c.text);
    BOOST_REQUIRE_MESSAGE(parsed, c.text);
    for (const auto* address : c.in) {
      BOOST_TEST(parsed->contains(*parse_ip(address)), c.text << " has " << address);
    }
    for (const auto* address : c.out) {
      BOOST_TEST(!parsed->contains(*parse_ip(address)), c.text << " has not " << address);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_network_is_refused) {
  for (const auto* text : {"",
                           "/",
                           "/8",
                           "10.0.0.0/",
                           "10.0.0.0/33",
                           "10.0.0.0/-1",
                           "10.0.0.0/+8",
                           "10.0.0.0/8 ",
                           "10.0.0.0/8/8",
                           " 10.0.0.0/8",
                           "10.0.0/8",
                           "10.1.2.3/8",
                           "256.0.0.0/8",
                           "::/129",
                           "2001:db8::1/64",
                           "[::1]",
                           "::1%lo",
                           "10.0.0.1:80",
                           "localhost",
                           "*",
                           "::ffff:0:0/95"}) {
    BOOST_TEST(!network::parse(text), text);
  }
  BOOST_TEST(!network::parse(std::string("10.0.0.1\0/8", 11)));
}

BOOST_AUTO_TEST_CASE(proxies_are_addresses_and_networks) {
  const auto with = [](const std::string& proxies) {
    return error_of("server: {trusted_proxies: [" + proxies +
                    "]}\nmodels: [{name: m, command: [run, '{port}']}]\n");
  };
  const std::string allowed =
      ", allowed an IP address, or a network such as 10.0.0.0/8 or fd00::/8 without bits behind "
      "the prefix";
  BOOST_TEST(with("10.1.2.3, 10.0.0.0/8, '::1', 'fd00::/8'") == "");
  BOOST_TEST(with("10.1.2.3/8") ==
             "f:1: server.trusted_proxies[0]: found \"10.1.2.3/8\"" + allowed);
  BOOST_TEST(with("10.1.2.3, proxy.example.org") ==
             "f:1: server.trusted_proxies[1]: found \"proxy.example.org\"" + allowed);
}

BOOST_AUTO_TEST_SUITE_END()
