#include <boost/test/unit_test.hpp>
#include <future>

#include "persistence/password.hpp"
#include "persistence/session.hpp"
#include "persistence/user_store.hpp"
#include "tests/persistence/support.hpp"

namespace signalbox::persistence::test {

namespace {

using namespace std::chrono_literals;

user_record user(const std::string& name) {
  user_record made;
  made.name = name;
  made.password_hash = "hash of " + name;
  made.scopes = {"realtime", "monitor"};
  return made;
}

open_session session_of(const std::string& name, std::uint8_t number, std::int64_t generation = 1,
                        const std::string& id = {}) {
  open_session made{
      name, generation, id.empty() ? "of " + name : id, {}, std::chrono::system_clock::now() + 1h};
  made.digest = digest(number);
  return made;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(users, store_fixture<user_store>)

BOOST_AUTO_TEST_CASE(users_are_added_and_changed) {
  const std::string name = "größe; \"'\\,{}";
  BOOST_TEST(store.add(user(name)));
  BOOST_TEST(!store.add(user(name)));
  auto found = store.find(name);
  BOOST_REQUIRE(found);
  BOOST_TEST(found->name == name);
  BOOST_TEST(found->password_hash == "hash of " + name);
  BOOST_TEST(found->scopes == user("").scopes, boost::test_tools::per_element());
  BOOST_TEST(!found->disabled);
  BOOST_TEST(found->generation == 1);
  BOOST_TEST(store.set_scopes(name, {"admin"}));
  BOOST_TEST(store.set_password(name, "other"));
  BOOST_TEST(store.disable(name));
  found = store.find(name);
  BOOST_TEST(found->scopes == std::vector<std::string>{"admin"}, boost::test_tools::per_element());
  BOOST_TEST(found->password_hash == "other");
  BOOST_TEST(found->disabled);
  BOOST_TEST(found->generation == 3);
  BOOST_TEST(store.enable(name));
  BOOST_TEST(!store.find(name)->disabled);
  BOOST_TEST(!store.find("nobody"));
  BOOST_TEST(!store.disable("nobody"));
  BOOST_TEST(!store.enable("nobody"));
  BOOST_TEST(!store.set_password("nobody", ""));
  BOOST_TEST(!store.set_scopes("nobody", {}));
}

BOOST_AUTO_TEST_CASE(changes_are_read_in_order) {
  for (const auto* name : {"a", "b", "c"}) store.add(user(name));
  const auto all = store.changed_since(0, 100);
  BOOST_REQUIRE_EQUAL(all.size(), 3u);
  store.disable("b");
  store.set_scopes("a", {"batch"});
  const auto news = store.changed_since(all.back().version, 100);
  BOOST_REQUIRE_EQUAL(news.size(), 2u);
  BOOST_TEST(news[0].name == "b");
  BOOST_TEST(news[1].name == "a");
  BOOST_TEST(store.changed_since(0, 2).size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_refresh_token_is_used_once) {
  store.add(user("a"));
  BOOST_TEST((store.open(session_of("a", 1)) == session_problem::none));
  BOOST_TEST((store.renew({digest(1), session_of("a", 2)}) == session_problem::none));
  BOOST_TEST((store.renew({digest(2), session_of("a", 3)}) == session_problem::none));
  BOOST_TEST((store.open(session_of("a", 10, 1, "2")) == session_problem::none));
  // The first comes back: its session ends, and no other.
  BOOST_TEST((store.renew({digest(1), session_of("a", 4)}) == session_problem::reused));
  BOOST_TEST((store.renew({digest(3), session_of("a", 5)}) == session_problem::refused));
  BOOST_TEST((store.renew({digest(1), session_of("a", 6)}) == session_problem::refused));
  BOOST_TEST((store.renew({digest(10), session_of("a", 11, 1, "2")}) == session_problem::none));
  BOOST_TEST((store.renew({digest(99), session_of("a", 12, 1, "3")}) == session_problem::refused));
}

BOOST_AUTO_TEST_CASE(a_used_one_is_known_however_many_came_after_it) {
  store.add(user("a"));
  store.open(session_of("a", 1));
  std::uint8_t last = 1;
  for (int i = 0; i < 300; ++i) {
    const std::uint8_t next = last == 2 ? 3 : 2;
    BOOST_TEST((store.renew({digest(last), session_of("a", next)}) == session_problem::none));
    last = next;
  }
  BOOST_TEST(query(db, "SELECT count(*) FROM sessions") == "1");
  BOOST_TEST((store.renew({digest(1), session_of("a", 4)}) == session_problem::reused));
  BOOST_TEST((store.renew({digest(last), session_of("a", 4)}) == session_problem::refused));
}

BOOST_AUTO_TEST_CASE(one_of_two_at_once_has_it_and_then_the_session_ends) {
  store.add(user("a"));
  for (std::uint8_t round = 0; round < 10; ++round) {
    const auto first = static_cast<std::uint8_t>(3 * round);
    store.open(session_of("a", first));
    const auto renew = [&](int next) {
      return store.renew({digest(first), session_of("a", static_cast<std::uint8_t>(next))});
    };
    auto one = std::async(std::launch::async, renew, first + 1);
    auto two = std::async(std::launch::async, renew, first + 2);
    const auto a = one.get(), b = two.get();
    BOOST_TEST((a == session_problem::none) + (b == session_problem::none) == 1);
    BOOST_TEST((a == session_problem::reused) + (b == session_problem::reused) == 1);
    BOOST_TEST(query(db, "SELECT count(*) FROM sessions") == "0");
  }
}

BOOST_AUTO_TEST_CASE(a_session_needs_its_user) {
  store.add(user("a"));
  store.add(user("b"));
  BOOST_TEST((store.open(session_of("nobody", 1)) == session_problem::refused));
  BOOST_TEST((store.open(session_of("a", 1, 2)) == session_problem::refused));
  BOOST_TEST((store.open(session_of("a", 1)) == session_problem::none));
  BOOST_TEST((store.open(session_of("b", 2)) == session_problem::none));
  BOOST_TEST((store.renew({digest(1), session_of("b", 3, 1, "of a")}) == session_problem::refused));
  store.disable("a");
  BOOST_TEST((store.renew({digest(1), session_of("a", 4)}) == session_problem::refused));
  BOOST_TEST((store.open(session_of("a", 5, 2)) == session_problem::refused));
  store.enable("a");
  BOOST_TEST((store.renew({digest(1), session_of("a", 6)}) == session_problem::refused));
  BOOST_TEST((store.open(session_of("a", 7, 2)) == session_problem::none));
  store.set_password("b", "new");
  BOOST_TEST((store.renew({digest(2), session_of("b", 8)}) == session_problem::refused));
  BOOST_TEST(query(db, "SELECT count(*) FROM sessions") == "1");
}

BOOST_AUTO_TEST_CASE(expired_ones_are_refused_and_go) {
  store.add(user("a"));
  auto old = session_of("a", 1);
  old.expires_at = std::chrono::system_clock::now() - 1s;
  store.open(old);
  BOOST_TEST((store.renew({digest(1), session_of("a", 2)}) == session_problem::refused));
  store.open(session_of("a", 3));
  BOOST_TEST(query(db, "SELECT count(*) FROM sessions") == "1");
}

void insert_sessions(database& db, int count, const std::string& expires_in) {
  execute(db,
          "INSERT INTO sessions (id, user_name, digest, expires_at)"
          " SELECT n::text, 'a', sha256(n::text::bytea), now() + interval '" +
              expires_in + "' FROM generate_series(1, " + std::to_string(count) + ") AS n");
}

BOOST_AUTO_TEST_CASE(the_oldest_of_too_many_go) {
  store.add(user("a"));
  insert_sessions(db, 1050, "1 minute");
  BOOST_TEST((store.open(session_of("a", 1)) == session_problem::none));
  BOOST_TEST(query(db, "SELECT count(*) FROM sessions") == "1000");
  BOOST_TEST((store.renew({digest(1), session_of("a", 2)}) == session_problem::none));
}

BOOST_AUTO_TEST_CASE(no_login_clears_up_after_too_many_others) {
  store.add(user("a"));
  insert_sessions(db, 250, "-1 minute");
  BOOST_TEST((store.open(session_of("a", 1)) == session_problem::none));
  BOOST_TEST(query(db, "SELECT count(*) FROM sessions") == "151");
}

BOOST_AUTO_TEST_CASE(a_lock_that_somebody_holds_is_not_waited_for_long) {
  store.add(user("a"));
  db.with_connection([&](session& other) {
    pqxx::work tx(other.connection);
    tx.exec("LOCK TABLE users IN ACCESS EXCLUSIVE MODE");
    BOOST_CHECK_THROW(store.open(session_of("a", 1)), database_unavailable);
  });
  BOOST_TEST((store.open(session_of("a", 1)) == session_problem::none));
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(passwords)

BOOST_AUTO_TEST_CASE(a_hash_fits_its_password_only) {
  const std::string password("pass\0word \xC3\xA9", 12);
  const auto hash = hash_password(password);
  BOOST_TEST(hash.starts_with("$argon2id$"));
  BOOST_TEST(hash != hash_password(password));
  BOOST_TEST(fits_password(hash, password));
  for (const std::string& wrong : {std::string(), std::string("pass"), password + "x"}) {
    BOOST_TEST(!fits_password(hash, wrong));
    BOOST_TEST(!fits_password("", wrong));
    BOOST_TEST(!fits_password("no hash", wrong));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::persistence::test
