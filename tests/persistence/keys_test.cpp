#include <boost/test/unit_test.hpp>
#include <future>

#include "persistence/key_store.hpp"
#include "persistence/stores.hpp"
#include "tests/persistence/support.hpp"

namespace signalbox::persistence::test {

namespace {

key_record key(const std::string& id, const secret_digest& secret) {
  key_record made;
  made.id = id;
  made.name = "größe; \"'\\,{}";
  made.owner = "somebody";
  made.hint = "sbk_abcd";
  made.digest = secret;
  made.scopes = {"realtime", "batch"};
  made.models = {"a;b", "org/\"name\""};
  made.weight = 2.5;
  made.limits = {60, 10, 1000, 4, 1'000'000'000'000};
  made.expires_at = wall_time(std::chrono::microseconds(1'900'000'000'123'456));
  return made;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(keys, store_fixture<key_store>)

BOOST_AUTO_TEST_CASE(round_trip) {
  const auto made = key("k1", digest(1));
  BOOST_TEST(store.add({made}));
  const auto found = store.find("k1");
  BOOST_REQUIRE(found);
  BOOST_TEST(found->name == made.name);
  BOOST_TEST(found->owner == made.owner);
  BOOST_TEST(found->hint == made.hint);
  BOOST_TEST((found->digest == made.digest));
  BOOST_TEST(!found->old_digest);
  BOOST_TEST(found->scopes == made.scopes, boost::test_tools::per_element());
  BOOST_TEST(found->models == made.models, boost::test_tools::per_element());
  BOOST_TEST(found->weight == 2.5);
  BOOST_TEST(found->limits.requests_per_minute == 60);
  BOOST_TEST(found->limits.burst == 10);
  BOOST_TEST(found->limits.tokens_per_minute == 1000);
  BOOST_TEST(found->limits.max_concurrent == 4u);
  BOOST_TEST(found->limits.tokens_per_day == 1'000'000'000'000u);
  BOOST_TEST((found->expires_at == made.expires_at));
  BOOST_TEST(!found->revoked_at);
  BOOST_TEST(!store.find("k2"));
}

BOOST_AUTO_TEST_CASE(ids_and_secrets_are_unique) {
  BOOST_TEST(store.add({key("k1", digest(1))}));
  BOOST_TEST(!store.add({key("k1", digest(2))}));
  // All or nothing.
  BOOST_TEST(!store.add({key("k2", digest(2)), key("k3", digest(1))}));
  BOOST_TEST(!store.find("k2"));
  // An old secret is still somebody's.
  BOOST_TEST(store.rotate({"k1", digest(3), "sbk_new", 60}));
  BOOST_TEST(!store.add({key("k4", digest(1))}));
  BOOST_TEST(store.add({key("k4", digest(4))}));
}

BOOST_AUTO_TEST_CASE(many_come_at_once_or_none) {
  constexpr int count = 2500;
  const auto many = [](const std::string& prefix, std::uint8_t mark) {
    std::vector<key_record> keys;
    for (int i = 0; i < count; ++i) {
      keys.push_back(key(prefix + std::to_string(i), digest(static_cast<std::uint8_t>(i % 256),
                                                            static_cast<std::uint8_t>(i / 256))));
      keys.back().digest[2] = mark;
    }
    return keys;
  };
  auto keys = many("a", 0);
  keys[1].models.clear();
  keys[2].expires_at.reset();
  BOOST_TEST(store.add(keys));
  BOOST_TEST(store.changed_since(0, 2 * count).size() == std::size_t{count});
  const auto found = store.find_all({"a1", "a2", "none"});
  BOOST_REQUIRE(found.size() == 2u);
  const bool in_order = found[0].id == "a1";
  BOOST_TEST(found[in_order ? 0 : 1].models.empty());
  BOOST_TEST(!found[in_order ? 1 : 0].expires_at);
  auto others = many("b", 1);
  others.back().digest = keys.front().digest;
  BOOST_TEST(!store.add(others));
  BOOST_TEST(store.find_all({"b0", "b1"}).empty());
}

BOOST_AUTO_TEST_CASE(a_rotation_keeps_the_old_secret_for_a_while) {
  store.add({key("k1", digest(1))});
  BOOST_TEST(store.rotate({"k1", digest(2), "sbk_new", 3600}));
  const auto found = store.find("k1");
  BOOST_TEST((found->digest == digest(2)));
  BOOST_REQUIRE(found->old_digest);
  BOOST_TEST((*found->old_digest == digest(1)));
  BOOST_TEST(found->hint == "sbk_new");
  const auto left = found->old_until - std::chrono::system_clock::now();
  BOOST_TEST((left > std::chrono::minutes(50) && left <= std::chrono::hours(1)));
  BOOST_TEST(!store.rotate({"k2", digest(9), "", 1}));
}

BOOST_AUTO_TEST_CASE(a_revoked_key_does_not_come_back) {
  store.add({key("k1", digest(1))});
  BOOST_TEST(store.revoke("k1"));
  const auto first = store.find("k1")->revoked_at;
  BOOST_TEST(first.has_value());
  BOOST_TEST(store.revoke("k1"));
  BOOST_TEST((store.find("k1")->revoked_at == first));
  BOOST_TEST(!store.rotate({"k1", digest(2), "", 1}));
  BOOST_TEST(!store.update(key("k1", digest(1))));
  BOOST_TEST(!store.revoke("k2"));
}

BOOST_AUTO_TEST_CASE(changes_are_read_in_order) {
  store.add({key("k1", digest(1)), key("k2", digest(2)), key("k3", digest(3))});
  const auto all = store.changed_since(0, 100);
  BOOST_REQUIRE_EQUAL(all.size(), 3u);
  const auto known = all.back().version;
  BOOST_TEST(store.changed_since(known, 100).empty());
  auto changed = key("k2", digest(2));
  changed.models.clear();
  changed.expires_at.reset();
  BOOST_TEST(store.update(changed));
  store.revoke("k1");
  const auto news = store.changed_since(known, 100);
  BOOST_REQUIRE_EQUAL(news.size(), 2u);
  BOOST_TEST(news[0].id == "k2");
  BOOST_TEST(news[0].models.empty());
  BOOST_TEST(!news[0].expires_at);
  BOOST_TEST(news[1].id == "k1");
  BOOST_TEST(store.changed_since(known, 1).size() == 1u);
}

// A reader that saw a version has seen all changes below it.
BOOST_AUTO_TEST_CASE(no_change_is_missed_beside_writers) {
  constexpr int writers = 4, each = 25;
  std::vector<std::future<void>> running;
  for (int w = 0; w < writers; ++w) {
    running.push_back(std::async(std::launch::async, [this, w] {
      database own(url);
      key_store theirs(own);
      for (int i = 0; i < each; ++i) {
        theirs.add({key("k" + std::to_string(w) + "-" + std::to_string(i),
                        digest(static_cast<std::uint8_t>(w + 1), static_cast<std::uint8_t>(i)))});
      }
    }));
  }
  std::size_t seen = 0;
  std::int64_t version = 0;
  const auto look = [&] {
    for (const auto& news : store.changed_since(version, 1000)) {
      BOOST_TEST(news.version > version);
      version = news.version;
      ++seen;
    }
  };
  for (auto& writer : running) {
    while (writer.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) look();
    writer.get();
  }
  look();
  BOOST_TEST(seen == writers * each);
}

BOOST_AUTO_TEST_CASE(lists_go_on_after_a_key) {
  for (std::uint8_t i = 1; i <= 5; ++i) store.add({key("k" + std::to_string(i), digest(i))});
  const auto first = store.newest(2, "");
  BOOST_REQUIRE_EQUAL(first.size(), 2u);
  BOOST_TEST(first[0].id == "k5");
  const auto second = store.newest(10, first.back().id);
  BOOST_REQUIRE_EQUAL(second.size(), 3u);
  BOOST_TEST(second[0].id == "k3");
  BOOST_TEST(store.newest(10, "k1").empty());
}

BOOST_AUTO_TEST_CASE(states_of_limits_are_kept_until_they_are_full) {
  const auto now = std::chrono::system_clock::now();
  const auto later = now + std::chrono::minutes(5), past = now - std::chrono::minutes(5);
  store.save_states({{"busy", later, past}, {"idle", past, past}});
  auto states = store.states();
  BOOST_REQUIRE_EQUAL(states.size(), 1u);
  BOOST_TEST(states[0].key_id == "busy");
  using std::chrono::microseconds;
  BOOST_TEST((std::chrono::time_point_cast<microseconds>(states[0].requests_full_at) ==
              std::chrono::time_point_cast<microseconds>(later)));
  store.save_states({{"busy", past, past}});
  BOOST_TEST(store.states().empty());
}

BOOST_AUTO_TEST_CASE(what_was_used_of_a_day_is_known) {
  const auto today = static_cast<std::int32_t>(
      std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now())
          .time_since_epoch()
          .count());
  usage_row row;
  row.key_id = "k1";
  row.day = today;
  row.requests = row.successes = 1;
  row.prompt_tokens = 3;
  row.completion_tokens = 4;
  for (const auto* model : {"a", "b"}) {
    row.model = model;
    usage_store(db).add(make_uuid(), {row});
  }
  row.day = today - 1;
  usage_store(db).add(make_uuid(), {row});
  const auto used = store.used_on(today);
  BOOST_REQUIRE_EQUAL(used.size(), 1u);
  BOOST_TEST(used[0].key_id == "k1");
  BOOST_TEST(used[0].date == today);
  BOOST_TEST(used[0].tokens == 14u);
  BOOST_TEST(store.used_on(today + 1).empty());
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::persistence::test
