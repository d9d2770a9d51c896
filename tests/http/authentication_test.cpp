#include "http/authentication.hpp"

#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>

#include "http/admin_key.hpp"

using namespace signalbox::http;

BOOST_AUTO_TEST_SUITE(authentication)

BOOST_AUTO_TEST_CASE(a_token_finds_its_principal_and_nothing_else_does) {
  const key_table keys({{"a", digest_of("token-of-a"), {"realtime", "monitor"}},
                        {"b", digest_of("token-of-b"), {"admin"}}});
  BOOST_REQUIRE(keys.find("token-of-a"));
  BOOST_TEST(keys.find("token-of-a")->key_id == "a");
  for (const auto* wrong : {"", "token-of", "token-of-a ", "TOKEN-OF-A"})
    BOOST_TEST(!keys.find(wrong));
}

BOOST_AUTO_TEST_CASE(admin_implies_all_scopes_and_no_other_scope_does) {
  const key_table keys({{"a", digest_of("a"), {"realtime"}}, {"b", digest_of("b"), {"admin"}}});
  BOOST_TEST(keys.find("a")->may(scope::realtime));
  BOOST_TEST(keys.find("a")->may(scope::none));
  for (auto s : {scope::batch, scope::eval, scope::upload, scope::monitor, scope::admin}) {
    BOOST_TEST(!keys.find("a")->may(s));
    BOOST_TEST(keys.find("b")->may(s));
  }
  BOOST_CHECK_THROW(key_table({{"x", digest_of("x"), {"root"}}}), std::invalid_argument);
}

BOOST_AUTO_TEST_CASE(bearer_is_read_in_any_case_and_only_bearer) {
  BOOST_TEST(bearer_token("Bearer abc") == "abc");
  BOOST_TEST(bearer_token("bEARER   abc") == "abc");
  for (const auto* wrong : {"", "Bearer", "Bearer ", "Basic abc", "abc", "Bearerabc"}) {
    BOOST_TEST(bearer_token(wrong).empty(), wrong);
  }
}

BOOST_AUTO_TEST_CASE(the_admin_key_is_made_once_and_kept_as_a_digest) {
  char pattern[] = "/tmp/signalbox-key-XXXXXX";
  const std::filesystem::path folder = mkdtemp(pattern);
  const auto made = load_or_make_admin_key(folder);
  BOOST_REQUIRE(made.token.has_value());
  BOOST_TEST(made.token->starts_with("sbk_"));
  const auto again = load_or_make_admin_key(folder);
  BOOST_TEST(!again.token.has_value());
  BOOST_TEST((again.entry.digest == digest_of(*made.token)));
  const auto file = folder / "admin-key.digest";
  BOOST_TEST((std::filesystem::status(file).permissions() == std::filesystem::perms(0600)));
  std::ifstream in(file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  BOOST_TEST(text.find(made.token->substr(4)) == std::string::npos);
  std::ofstream(file) << "not a digest\n";
  BOOST_CHECK_THROW(load_or_make_admin_key(folder), std::runtime_error);
  std::filesystem::remove_all(folder);
}

BOOST_AUTO_TEST_SUITE_END()
