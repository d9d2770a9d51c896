#include "persistence/stores.hpp"

#include <boost/test/unit_test.hpp>
#include <future>
#include <map>

#include "tests/persistence/support.hpp"

namespace signalbox::persistence::test {

namespace {

std::chrono::system_clock::time_point after_epoch(std::int64_t microseconds) {
  return std::chrono::system_clock::time_point(std::chrono::microseconds(microseconds));
}

usage_row row(const std::string& key, std::int32_t day, std::uint64_t requests,
              usage_source source = usage_source::realtime) {
  usage_row made;
  made.key_id = key;
  made.model = "demo";
  made.source = source;
  made.day = day;
  made.requests = made.successes = requests;
  made.prompt_tokens = 10 * requests;
  made.completion_tokens = 100 * requests;
  return made;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(crashes, store_fixture<crash_store>)

BOOST_AUTO_TEST_CASE(round_trip) {
  crash_record crash{
      after_epoch(1'700'000'000'123'456), "de\"mo", "segfault", "line\nbreak 'q' \\ größe", {}};
  for (int i = 0; i < 200; ++i)
    crash.log_tail.push_back("line " + std::to_string(i) + "; {x,\"y\"}");
  crash.log_tail[7] = "";
  crash.log_tail[8] = "NULL";
  crash.log_tail[9] = "two\nlines 日本語";
  store.add(crash);
  const auto found = store.newest(10);
  BOOST_REQUIRE(found.size() == 1);
  BOOST_TEST((found[0].time == crash.time));
  BOOST_TEST(found[0].model == crash.model);
  BOOST_TEST(found[0].reason == crash.reason);
  BOOST_TEST(found[0].detail == crash.detail);
  BOOST_TEST(found[0].log_tail == crash.log_tail, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(newest_first_and_limited) {
  for (const int second : {2, 5, 1, 4, 3}) {
    store.add({after_epoch(second * 1'000'000),
               "m" + std::to_string(second),
               "crashed",
               "",
               {"log of " + std::to_string(second)}});
  }
  store.add({after_epoch(3'000'000), "later", "oom", "", {}});
  const auto found = store.newest(4);
  BOOST_REQUIRE(found.size() == 4);
  BOOST_TEST(found[0].model == "m5");
  BOOST_TEST(found[1].model == "m4");
  BOOST_TEST(found[2].model == "later");
  BOOST_TEST(found[2].log_tail.empty());
  BOOST_TEST(found[3].model == "m3");
  BOOST_TEST(found[3].log_tail.at(0) == "log of 3");
  BOOST_TEST(store.newest(0).empty());
}

BOOST_AUTO_TEST_CASE(every_exit_reason_is_allowed_and_no_other) {
  using scheduling::exit_reason;
  for (const auto reason : {exit_reason::asked, exit_reason::crashed, exit_reason::oom,
                            exit_reason::killed, exit_reason::hung, exit_reason::segfault,
                            exit_reason::start_failed, exit_reason::start_timeout}) {
    store.add({after_epoch(0), "demo", std::string(scheduling::to_string(reason)), "", {}});
  }
  BOOST_CHECK_THROW(store.add({after_epoch(0), "demo", "bored", "", {}}), std::exception);
  BOOST_TEST(store.newest(100).size() == 8);
}

BOOST_AUTO_TEST_CASE(hostile_output_of_a_runtime_is_kept_within_limits) {
  crash_record crash{after_epoch(0), "demo", "crashed", std::string("a\0\xff", 3), {}};
  for (int i = 0; i < 300; ++i) crash.log_tail.push_back(std::to_string(i));
  crash.log_tail.back() = std::string(100'000, 'x');
  store.add(crash);
  const auto found = store.newest(1).at(0);
  BOOST_TEST(found.detail == "a\xEF\xBF\xBD\xEF\xBF\xBD");
  BOOST_REQUIRE(found.log_tail.size() == 200);  // the last ones
  BOOST_TEST(found.log_tail.front() == "100");
  BOOST_TEST(found.log_tail.back().size() == 4096);
}

BOOST_AUTO_TEST_CASE(old_ones_go) {
  execute(db,
          "INSERT INTO crashes (at, model, reason, detail, log_tail)"
          " SELECT to_timestamp(n), 'old', 'crashed', '', '{}' FROM generate_series(1, 10000) n");
  store.add({after_epoch(20'000'000'000), "new", "crashed", "", {}});
  BOOST_TEST(query(db, "SELECT count(*) FROM crashes") == "10000");
  BOOST_TEST(query(db, "SELECT min(id) FROM crashes") == "2");
  BOOST_TEST(store.newest(5000).size() == 1000);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(usage, store_fixture<usage_store>)

BOOST_AUTO_TEST_CASE(rows_are_merged_and_added_up) {
  usage_row mixed = row("b", 20000, 3);
  mixed.successes = 1;
  mixed.errors = 1;
  mixed.cancelled = 1;
  mixed.estimated = 2;
  store.add(make_uuid(), {mixed, row("a", 20000, 1), row("b", 20000, 4),
                          row("b", 20000, 1, usage_source::eval), row("a", 19999, 1)});
  store.add(make_uuid(), {row("b", 20000, 2)});
  const auto rows = store.rows_of_day(20000);
  BOOST_REQUIRE(rows.size() == 3);
  BOOST_TEST(rows[0].key_id == "a");
  BOOST_TEST((rows[1].source == usage_source::eval));
  const usage_row& b = rows[2];
  BOOST_TEST(b.model == "demo");
  BOOST_TEST(b.day == 20000);
  BOOST_TEST(b.requests == 9);
  BOOST_TEST(b.successes == 7);
  BOOST_TEST(b.errors == 1);
  BOOST_TEST(b.cancelled == 1);
  BOOST_TEST(b.prompt_tokens == 90);
  BOOST_TEST(b.completion_tokens == 900);
  BOOST_TEST(b.estimated == 2);
  BOOST_TEST(store.rows_of_day(-1).size() == 4);
  BOOST_TEST(store.rows_of_day(1).empty());
}

BOOST_AUTO_TEST_CASE(batch_sent_twice_is_added_once) {
  const std::string id = make_uuid();
  store.add(id, {row("a", 1, 5)});
  store.add(id, {row("a", 1, 5)});
  BOOST_TEST(store.rows_of_day(1).at(0).requests == 5);
}

BOOST_AUTO_TEST_CASE(failed_batch_may_be_sent_again) {
  const std::string id = make_uuid();
  usage_row wrong = row("a", 1, 5);
  wrong.successes = 4;  // one request that did not end in any way
  BOOST_CHECK_THROW(store.add(id, {row("b", 1, 1), wrong}), std::exception);
  BOOST_TEST(store.rows_of_day(1).empty());
  store.add(id, {row("a", 1, 5)});
  BOOST_TEST(store.rows_of_day(1).at(0).requests == 5);
}

BOOST_AUTO_TEST_CASE(writers_with_overlapping_keys) {
  constexpr int writers = 4, batches = 25, keys = 50;
  std::vector<std::future<void>> runs;
  for (int writer = 0; writer < writers; ++writer) {
    runs.push_back(std::async(std::launch::async, [this, writer] {
      for (int batch = 0; batch < batches; ++batch) {
        std::vector<usage_row> rows;
        for (int i = 0; i < keys; ++i) {  // each in another order
          const int key = writer % 2 ? keys - 1 - i : (i + batch) % keys;
          rows.push_back(row("key" + std::to_string(key), 1, 1));
        }
        store.add(make_uuid(), rows);
      }
    }));
  }
  for (auto& run : runs) BOOST_CHECK_NO_THROW(run.get());
  const auto rows = store.rows_of_day(1);
  BOOST_REQUIRE(rows.size() == keys);
  for (const usage_row& found : rows) BOOST_TEST(found.requests == writers * batches);
}

BOOST_AUTO_TEST_CASE(ten_thousand_rows_in_a_batch) {
  std::vector<usage_row> rows;
  for (int i = 0; i < 10'000; ++i) rows.push_back(row("key" + std::to_string(i), 1, 1));
  store.add(make_uuid(), rows);
  store.add(make_uuid(), rows);
  BOOST_TEST(query(db, "SELECT count(*) || ' ' || sum(requests) FROM usage_daily") ==
             "10000 20000");
}

BOOST_AUTO_TEST_CASE(hostile_strings_and_numbers) {
  const std::string quoted = "'\"\\{},;NULL\n😀";
  usage_row huge = row("huge", 1, 1);
  huge.prompt_tokens = huge.completion_tokens = UINT64_MAX;
  store.add(make_uuid(),
            {row(quoted, 1, 1), row("NULL", 1, 2), row("", 1, 3), huge, huge,
             row(std::string("nul\0\xff", 5), 1, 4), row(std::string(9000, 'k'), 1, 5)});
  std::map<std::string, usage_row> found;
  for (const usage_row& one : store.rows_of_day(1)) found[one.key_id] = one;
  BOOST_TEST(found.size() == 6);
  BOOST_TEST(found.at(quoted).requests == 1);
  BOOST_TEST(found.at("NULL").requests == 2);
  BOOST_TEST(found.at("").requests == 3);
  BOOST_TEST(found.at("nul\xEF\xBF\xBD\xEF\xBF\xBD").requests == 4);
  BOOST_TEST(found.at(std::string(256, 'k')).requests == 5);
  BOOST_TEST(found.at("huge").prompt_tokens == 2'000'000'000'000);
}

BOOST_AUTO_TEST_CASE(old_batch_ids_go) {
  execute(db,
          "INSERT INTO usage_batches SELECT gen_random_uuid(), now() - interval '8 days'"
          " FROM generate_series(1, 100)");
  store.add("11111111-1111-4111-8111-111111111111", {row("a", 1, 1)});
  BOOST_TEST(query(db, "SELECT count(*) FROM usage_batches") == "101");
  store.add("00111111-1111-4111-8111-111111111111", {row("a", 1, 1)});
  BOOST_TEST(query(db, "SELECT count(*) FROM usage_batches") == "2");
}

BOOST_AUTO_TEST_CASE(sources_have_names) {
  BOOST_TEST(to_string(usage_source::realtime) == "realtime");
  BOOST_TEST(to_string(usage_source::batch) == "batch");
  BOOST_TEST(to_string(usage_source::eval) == "eval");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::persistence::test
