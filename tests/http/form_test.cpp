#include "http/serve/form.hpp"

#include <boost/test/unit_test.hpp>
#include <string>

using namespace signalbox::http;

BOOST_AUTO_TEST_CASE(forms_are_read) {
  const auto read = parse_form("username=a%20b+c&password=%C3%A9%00%26&empty=&bare");
  BOOST_REQUIRE(read);
  BOOST_TEST(read->at("username") == "a b c");
  BOOST_TEST(read->at("password") == std::string("\xC3\xA9\0&", 4));
  BOOST_TEST(read->at("empty").empty());
  BOOST_TEST(read->contains("bare"));
  BOOST_TEST(parse_form("")->empty());
  std::string many;
  for (int i = 0; i < 33; ++i) many += "f" + std::to_string(i) + "=&";
  for (const auto& wrong :
       {std::string("a=1&a=2"), std::string("a=1&%61=2"), std::string("a=%"), std::string("a=%2"),
        std::string("a=%2g"), std::string("a=%+1"), many}) {
    BOOST_TEST(!parse_form(wrong), wrong);
  }
  for (const auto* type :
       {"application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8"}) {
    BOOST_TEST(is_form_type(type));
  }
  for (const auto* type : {"", "application/json", "application/x-www-form-urlencodedx"}) {
    BOOST_TEST(!is_form_type(type));
  }
}
