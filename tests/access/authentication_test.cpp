#include "access/authentication.hpp"

#include <boost/test/unit_test.hpp>

#include <filesystem>
#include <fstream>

#include "access/admin_key.hpp"
#include "access/key_ring.hpp"
#include "tests/scratch_folder.hpp"

using namespace signalbox;
using signalbox::key_record;
using signalbox::wall_time;

namespace {

key_record key(const std::string& id, const std::string& token,
               std::vector<std::string> scopes = {"realtime"}) {
  key_record made;
  made.id = id;
  made.digest = digest_of(token);
  made.scopes = std::move(scopes);
  return made;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(authentication)

BOOST_AUTO_TEST_CASE(a_token_finds_its_principal_and_nothing_else_does) {
  const key_ring ring({key("a", "token-of-a", {"realtime", "monitor"}), key("b", "token-of-b")});
  const auto keys = ring.table();
  BOOST_REQUIRE(keys->find("token-of-a"));
  BOOST_TEST(keys->find("token-of-a")->key_id == "a");
  BOOST_TEST(keys->find("token-of-a")->number != keys->find("token-of-b")->number);
  for (const auto* wrong : {"", "token-of", "token-of-a ", "TOKEN-OF-A"})
    BOOST_TEST(!keys->find(wrong));
}

BOOST_AUTO_TEST_CASE(admin_implies_all_scopes_and_no_other_scope_does) {
  const key_ring ring({key("a", "a", {"realtime"}), key("b", "b", {"admin"}), key("x", "x", {})});
  const auto keys = ring.table();
  BOOST_TEST(keys->find("a")->may(scope::realtime));
  BOOST_TEST(keys->find("a")->may(scope::none));
  BOOST_TEST(!keys->find("x")->may(scope::realtime));
  for (auto s : {scope::batch, scope::eval, scope::upload, scope::monitor, scope::admin}) {
    BOOST_TEST(!keys->find("a")->may(s));
    BOOST_TEST(keys->find("b")->may(s));
  }
  BOOST_TEST(!parse_scope("root"));
  BOOST_TEST(!parse_scope("none"));
}

BOOST_AUTO_TEST_CASE(a_rotated_key_has_two_secrets_and_one_account) {
  key_ring ring({});
  auto rotated = key("k", "new", {"realtime"});
  const auto before = ring.table();
  rotated.old_digest = digest_of("old");
  rotated.old_until = std::chrono::system_clock::now() + std::chrono::hours(1);
  ring.apply({{rotated}, {}, {}, {}});
  BOOST_TEST(!before->find("new"));  // a snapshot stays what it was
  const auto keys = ring.table();
  BOOST_REQUIRE(keys->find("old"));
  BOOST_TEST((keys->find("old")->expires_at == rotated.old_until));
  BOOST_TEST((keys->find("new")->expires_at == wall_time::max()));
  BOOST_TEST(keys->find("old")->account == keys->find("new")->account);
  const auto account = keys->find("new")->account;
  rotated.limits.max_concurrent = 7;
  rotated.old_digest.reset();
  ring.apply({{rotated}, {}, {}, {}});
  BOOST_TEST(ring.table()->find("new")->account == account);
  BOOST_TEST(ring.table()->find("new")->limits.max_concurrent == 7u);
  BOOST_TEST(!ring.table()->find("old"));
  rotated.revoked_at = std::chrono::system_clock::now();
  ring.apply({{rotated}, {}, {}, {}});
  BOOST_TEST(!ring.table()->find("new"));
}

BOOST_AUTO_TEST_CASE(what_was_used_counts_for_the_day_of_its_date_only) {
  key_ring ring({key("k", "k"), key("other", "other")});
  const auto today = ring.day(std::chrono::steady_clock::now(), std::chrono::system_clock::now());
  ring.apply({{}, {}, {}, {{"k", today.date, 100}, {"other", today.date + 1, 100}}});
  const auto used = [&](const char* token) {
    return ring.table()->find(token)->account->limits.tokens_of(today.number);
  };
  BOOST_TEST(used("k") == 100u);
  BOOST_TEST(used("other") == 0u);
}

BOOST_AUTO_TEST_CASE(the_configuration_hides_a_key_of_the_database) {
  key_ring ring({key("k", "configured", {"realtime"})});
  ring.apply({{key("k", "stored", {"admin"}), key("other", "configured", {"admin"})}, {}, {}, {}});
  BOOST_TEST(!ring.table()->find("stored"));
  BOOST_TEST(ring.table()->find("configured")->key_id == "k");
  BOOST_TEST(!ring.table()->find("configured")->may(scope::admin));
}

BOOST_AUTO_TEST_CASE(a_key_may_be_bound_to_models) {
  principal who;
  signalbox::config::model_options demo, other;
  demo.name = "demo";
  demo.aliases = {"gemma"};
  other.name = "other";
  BOOST_TEST(who.may_use(other));
  for (const auto* name : {"demo", "gemma"}) {
    who.models = {name};
    BOOST_TEST(who.may_use(demo));
    BOOST_TEST(!who.may_use(other));
  }
}

BOOST_AUTO_TEST_CASE(bearer_is_read_in_any_case_and_only_bearer) {
  BOOST_TEST(bearer_token("Bearer abc") == "abc");
  BOOST_TEST(bearer_token("bEARER   abc") == "abc");
  for (const auto* wrong : {"", "Bearer", "Bearer ", "Basic abc", "abc", "Bearerabc"}) {
    BOOST_TEST(bearer_token(wrong).empty(), wrong);
  }
}

BOOST_AUTO_TEST_CASE(the_admin_key_is_made_once_and_kept_as_a_digest) {
  const scratch_folder folder;
  const auto made = load_or_make_admin_key(folder.path());
  BOOST_REQUIRE(made.token.has_value());
  BOOST_TEST(made.token->starts_with("sbk_"));
  const auto again = load_or_make_admin_key(folder.path());
  BOOST_TEST(!again.token.has_value());
  BOOST_TEST((again.record.digest == digest_of(*made.token)));
  const auto file = folder.path("admin-key.digest");
  BOOST_TEST((std::filesystem::status(file).permissions() == std::filesystem::perms(0600)));
  std::ifstream in(file);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  BOOST_TEST(text.find(made.token->substr(4)) == std::string::npos);
  std::ofstream(file) << "not a digest\n";
  BOOST_CHECK_THROW(load_or_make_admin_key(folder.path()), std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()
