// Usage: how it is grouped, reported and kept.
#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <future>
#include <set>

#include "persistence/stores.hpp"
#include "tests/persistence/support.hpp"

namespace signalbox::persistence::test {

namespace {

// 2026-01-31 and what follows; days since 1970-01-01.
constexpr std::int32_t january_31 = 20484;

wall_time at(std::int64_t seconds) {
  return wall_time(std::chrono::seconds(seconds));
}

usage_row row(const std::string& key, const std::string& client, const std::string& model,
              std::int32_t day, std::uint64_t requests = 1) {
  usage_row made;
  made.key_id = key;
  made.client_id = client;
  made.model = model;
  made.day = day;
  made.requests = made.successes = requests;
  made.prompt_tokens = 10 * requests;
  made.completion_tokens = 100 * requests;
  made.gpu_us = 1000 * requests;
  made.queue_us = 7 * requests;
  made.last_seen = at(std::int64_t{day} * 86400);
  return made;
}

std::string partitions(database& db) {
  return query(db,
               "SELECT coalesce(string_agg(right(inhrelid::regclass::text, 6), ' ' ORDER BY 1), '')"
               " FROM (SELECT inhrelid FROM pg_inherits"
               "  WHERE inhparent = 'usage_daily'::regclass"
               "  AND inhrelid::regclass::text LIKE 'usage_daily_%'"
               "  ORDER BY inhrelid::regclass::text) AS p");
}

std::string text_of(const usage_group& g) {
  return std::to_string(g.day) + "/" + g.key_id + "/" + g.client_id + "/" + g.model + "/" +
         g.source + "=" + std::to_string(g.requests);
}

// All pages of a report.
std::vector<std::string> pages(usage_store& store, list_usage query) {
  std::vector<std::string> all;
  for (;;) {
    const auto report = store.report(query);
    BOOST_REQUIRE(report.groups.size() <= query.limit);
    for (const auto& group : report.groups) all.push_back(text_of(group));
    if (report.groups.size() < query.limit) return all;
    query.after = report.groups.back();
  }
}

// As much as it takes for `day` to be believed.
void use_on_two_days_before(usage_store& store, std::int32_t day) {
  store.add(make_uuid(), {row("a", "", "m", day - 1), row("a", "", "m", day - 2)});
}

list_usage everything(usage_grouping by, std::uint32_t limit = 1000) {
  return {by, 0, 40000, std::nullopt, std::nullopt, limit};
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(usage_of_clients, store_fixture<usage_store>)

BOOST_AUTO_TEST_CASE(times_and_the_last_request_are_kept) {
  auto early = row("a", "app", "demo", january_31), late = early;
  late.last_seen = at(2'000'000'000);
  late.successes = 0;
  late.errors = 1;
  late.last_status = usage_status::error;
  store.add(make_uuid(), {late, row("a", "", "demo", january_31)});
  store.add(make_uuid(), {early});
  const auto rows = store.rows_of_day(january_31);
  BOOST_REQUIRE(rows.size() == 2);
  BOOST_TEST(rows[0].client_id.empty());
  BOOST_TEST(rows[1].client_id == "app");
  BOOST_TEST(rows[1].requests == 2);
  BOOST_TEST(rows[1].gpu_us == 2000);
  BOOST_TEST(rows[1].queue_us == 14);
  BOOST_TEST((rows[1].last_seen == at(2'000'000'000)));
  BOOST_TEST((rows[1].last_status == usage_status::error));
  const auto clients = store.clients_since(january_31);
  BOOST_REQUIRE(clients.size() == 1);
  BOOST_TEST(clients[0].key_id == "a");
  BOOST_TEST(clients[0].client_id == "app");
  BOOST_TEST(store.clients_since(january_31 + 1).empty());
}

BOOST_AUTO_TEST_CASE(a_million_requests_are_thousands_of_rows) {
  constexpr int keys = 50, clients = 5, models = 4, days = 3, batches = 100;
  std::uint64_t sent = 0;
  for (int batch = 0; batch < batches; ++batch) {
    std::vector<usage_row> rows;
    for (int i = 0; i < keys * clients * models / 10; ++i) {
      const int n = i * 10 + batch % 10;
      rows.push_back(row("key" + std::to_string(n % keys), "c" + std::to_string(n / keys % clients),
                         "m" + std::to_string(n % models), january_31 + batch % days, 100));
      sent += 100;
    }
    store.add(make_uuid(), rows);
  }
  BOOST_TEST(sent == 1'000'000u);
  BOOST_TEST(query(db, "SELECT sum(requests) FROM usage_daily") == "1000000");
  BOOST_TEST(std::stoi(query(db, "SELECT count(*) FROM usage_daily")) <= 3000);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_FIXTURE_TEST_SUITE(usage_reports, store_fixture<usage_store>)

BOOST_AUTO_TEST_CASE(grouped_by_anything_page_by_page) {
  std::vector<usage_row> rows;
  for (const auto* key : {"a", "b'\"\\", "c", ""}) {
    for (const auto* client : {"", "x", "y"}) {
      for (int day = 0; day < 4; ++day) rows.push_back(row(key, client, "m", january_31 + day, 2));
    }
  }
  rows[5].source = usage_source::batch;
  store.add(make_uuid(), rows);
  for (unsigned bits = 0; bits < 32; ++bits) {
    const usage_grouping by{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0,
                            (bits & 16) != 0};
    const auto whole = pages(store, everything(by));
    BOOST_TEST(std::set<std::string>(whole.begin(), whole.end()).size() == whole.size());
    for (const std::uint32_t limit : {1U, 5U, 7U}) {
      BOOST_TEST(pages(store, everything(by, limit)) == whole, boost::test_tools::per_element());
    }
    std::uint64_t requests = 0, tokens = 0;
    for (const auto& group : store.report(everything(by)).groups) {
      requests += group.requests;
      tokens += group.completion_tokens;
    }
    BOOST_TEST(requests == 96u);
    BOOST_TEST(tokens == 9600u);
  }
  BOOST_TEST(pages(store, everything({.source = true})) ==
                 (std::vector<std::string>{"0////batch=2", "0////realtime=94"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(of_some_days_or_of_one_key) {
  store.add(make_uuid(), {row("a", "", "m", january_31), row("a", "", "m", january_31 + 1),
                          row("b", "", "m", january_31 + 1), row("b", "", "m", january_31 + 9)});
  auto query = everything({.day = true});
  query.first_day = january_31 + 1;
  query.last_day = january_31 + 8;
  BOOST_TEST(store.report(query).groups.at(0).requests == 2u);
  query.key_id = "b";
  BOOST_TEST(store.report(query).groups.at(0).requests == 1u);
  query.key_id = "";
  BOOST_TEST(store.report(query).groups.empty());
}

BOOST_AUTO_TEST_CASE(by_key_with_what_was_last) {
  auto batch = row("a", "", "second", january_31 + 1, 3);
  batch.source = usage_source::batch;
  batch.last_status = usage_status::cancelled;
  store.add(make_uuid(), {row("a", "", "first", january_31), batch,
                          row("b", "x", "first", january_31), row("b", "y", "first", january_31)});
  auto found = store.by_key({std::nullopt, "", 10}).keys;
  BOOST_REQUIRE(found.size() == 2);
  BOOST_TEST(found[0].key_id == "a");
  BOOST_TEST(found[0].requests == 4u);
  BOOST_TEST(found[0].realtime_requests == 1u);
  BOOST_TEST(found[0].batch_requests == 3u);
  BOOST_TEST(found[0].last_model == "second");
  BOOST_TEST(found[0].last_source == "batch");
  BOOST_TEST((found[0].last_status == usage_status::cancelled));
  BOOST_TEST(found[1].requests == 2u);
  found = store.by_key({january_31, "a", 10}).keys;
  BOOST_REQUIRE(found.size() == 1);
  BOOST_TEST(found[0].key_id == "b");
  BOOST_TEST(store.by_key({std::nullopt, "", 1}).keys.size() == 1u);
  BOOST_TEST(store.by_key({january_31 + 5, "", 1}).keys.empty());
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_SUITE(usage_partitions)

BOOST_FIXTURE_TEST_CASE(are_made_ahead_and_dropped_when_all_of_them_is_old,
                        store_fixture<usage_store>) {
  BOOST_TEST(store.keep_partitions(january_31, 90) == 0);
  BOOST_TEST(partitions(db) == "202601 202602");
  store.add(make_uuid(), {row("a", "", "m", january_31 - 100), row("a", "", "m", january_31 - 40),
                          row("a", "", "m", january_31), row("a", "", "m", january_31 + 59)});
  use_on_two_days_before(store, january_31);
  BOOST_TEST(partitions(db) == "202510 202512 202601 202602 202603");
  // 2025-11-02 is the first day that is kept: all of October is older.
  BOOST_TEST(store.keep_partitions(january_31, 90) == 1);
  BOOST_TEST(partitions(db) == "202512 202601 202602 202603");
  BOOST_TEST(store.keep_partitions(january_31, 32) == 0);  // 2025-12-30 is kept
  BOOST_TEST(store.keep_partitions(january_31, 30) == 1);
  BOOST_TEST(query(db, "SELECT sum(requests) FROM usage_daily") == "4");
  store.add(make_uuid(), {row("a", "", "m", january_31 - 40)});  // late, and not lost
  BOOST_TEST(query(db, "SELECT sum(requests) FROM usage_daily") == "5");
}

BOOST_FIXTURE_TEST_CASE(a_date_that_is_far_ahead_of_usage_drops_nothing,
                        store_fixture<usage_store>) {
  const auto wrong = january_31 + 365;
  const auto sum = [this] { return query(db, "SELECT sum(requests) FROM usage_daily"); };
  store.add(make_uuid(), {row("a", "", "m", january_31 - 100)});
  BOOST_TEST(store.keep_partitions(wrong, 90) == 0);  // there is no newer usage to go by
  store.add(make_uuid(), {row("a", "", "m", january_31)});
  use_on_two_days_before(store, january_31);
  BOOST_TEST(store.keep_partitions(wrong, 200) == 0);
  BOOST_TEST(sum() == "4");
  // What is old by the days that were used goes all the same.
  BOOST_TEST(store.keep_partitions(wrong, 90) == 1);
  BOOST_TEST(partitions(db) == "202601 202701 202702");
  for (int day = 0; day < 2; ++day) {
    store.add(make_uuid(), {row("a", "", "m", wrong + day)});
    BOOST_TEST(store.keep_partitions(wrong + day, 90) == 0);
  }
  BOOST_TEST(sum() == "5");
  // A whole day has passed on that date and on the next: it is no mistake.
  store.add(make_uuid(), {row("a", "", "m", wrong + 2)});
  BOOST_TEST(store.keep_partitions(wrong + 2, 90) == 1);
  BOOST_TEST(sum() == "3");
  // The right clock again, to which those days are the future.
  store.add(make_uuid(), {row("a", "", "m", january_31 + 1)});
  BOOST_TEST(store.keep_partitions(january_31 + 1, 90) == 0);
}

// A reader holds its lock for long, as pg_dump does, or a person who has forgotten to commit.
constexpr const char* read_on = "SELECT count(*) FROM usage_daily";

BOOST_FIXTURE_TEST_CASE(a_reader_is_in_nobodys_way, store_fixture<usage_store>) {
  store.add(make_uuid(), {row("a", "", "m", january_31)});
  while_open(db, read_on, [&] {
    BOOST_TEST(store.keep_partitions(january_31, 90) == 0);
    store.add(make_uuid(), {row("a", "", "m", january_31 + 59)});
    BOOST_TEST(partitions(db) == "202601 202602 202603");
  });
  BOOST_TEST(query(db, "SELECT sum(requests) FROM usage_daily") == "2");
}

BOOST_FIXTURE_TEST_CASE(what_somebody_reads_is_dropped_later, store_fixture<usage_store>) {
  store.add(make_uuid(), {row("a", "", "m", january_31 - 100), row("a", "", "m", january_31)});
  use_on_two_days_before(store, january_31);
  while_open(db, read_on, [&] {
    BOOST_CHECK_THROW(store.keep_partitions(january_31, 90), lock_not_granted);
    BOOST_TEST(partitions(db) == "202510 202601 202602");
  });
  BOOST_TEST(store.keep_partitions(january_31, 90) == 1);
  BOOST_TEST(partitions(db) == "202601 202602");
}

BOOST_FIXTURE_TEST_CASE(partitions_have_the_rules_of_the_whole, store_fixture<usage_store>) {
  store.keep_partitions(january_31, 90);
  const auto rules = [this](const std::string& table) {
    return query(db,
                 "SELECT string_agg(pg_get_constraintdef(oid), ' ' ORDER BY contype, conname)"
                 " FROM pg_constraint WHERE conrelid = '" +
                     table + "'::regclass");
  };
  BOOST_TEST(rules("usage_daily_202602") == rules("usage_daily"));
}

BOOST_FIXTURE_TEST_CASE(a_report_takes_no_longer_than_it_may, store_fixture<usage_store>) {
  while_open(db, "LOCK TABLE usage_daily", [&] {
    BOOST_CHECK_EXCEPTION(store.report(everything({.day = true}), std::chrono::milliseconds(20)),
                          database_unavailable, [](const auto& e) {
                            return std::string_view(e.what()).find("statement timeout") !=
                                   std::string_view::npos;
                          });
  });
}

BOOST_FIXTURE_TEST_CASE(writers_and_keepers_do_not_collide, store_fixture<usage_store>) {
  std::vector<std::future<void>> runs;
  for (int writer = 0; writer < 4; ++writer) {
    runs.push_back(std::async(std::launch::async, [this, writer] {
      for (int i = 0; i < 24; ++i) {
        if (i % 6 == writer) store.keep_partitions(january_31 + 31 * i, 3650);
        store.add(make_uuid(), {row("a", "", "m", january_31 + 31 * i)});
      }
    }));
  }
  for (auto& run : runs) run.get();
  BOOST_TEST(query(db, "SELECT sum(requests) FROM usage_daily") == "96");
}

BOOST_AUTO_TEST_CASE(rows_from_before_survive_the_migration) {
  fresh_database fresh;
  const auto& all = embedded_migrations();
  const auto partitioning = std::find_if(all.begin(), all.end(), [](const migration& m) {
    return m.name.find("usage_partitions") != std::string_view::npos;
  });
  BOOST_REQUIRE(partitioning != all.end());
  migrate(fresh.db, {all.begin(), partitioning});
  execute(fresh.db,
          "INSERT INTO usage_daily SELECT date '2025-11-15' + n, 'key', 'm', 'realtime',"
          " 3, 1, 1, 1, 20, 30, 2 FROM generate_series(0, 99) n");
  migrate(fresh.db);
  BOOST_TEST(partitions(fresh.db) == "202511 202512 202601 202602");
  usage_store store(fresh.db);
  const auto rows = store.rows_of_day(-1);
  BOOST_REQUIRE(rows.size() == 100);
  for (const auto& one : rows) {
    BOOST_TEST(one.client_id.empty());
    BOOST_TEST(one.requests == 3u);
    BOOST_TEST(one.cancelled == 1u);
    BOOST_TEST(one.prompt_tokens == 20u);
    BOOST_TEST(one.completion_tokens == 30u);
    BOOST_TEST(one.estimated == 2u);
    BOOST_TEST((one.last_seen == at(std::int64_t{one.day} * 86400)));
  }
  store.add(make_uuid(), {row("key", "", "m", rows[0].day)});
  BOOST_TEST(store.rows_of_day(rows[0].day).at(0).requests == 4u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::persistence::test
