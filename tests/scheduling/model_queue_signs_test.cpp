// What requests notice of a runtime, and what those that wait are told meanwhile.
#include <boost/test/unit_test.hpp>

#include <utility>
#include <vector>

#include "scheduling/model_queue.hpp"
#include "tests/scheduling/effects.hpp"

namespace signalbox::scheduling::test {
BOOST_AUTO_TEST_SUITE(model_queue_signs)
namespace {

using namespace std::chrono_literals;
using signalbox::test::all;

constexpr time_point start{1h};
constexpr std::uint64_t run = 3;

model_queue queue_with(std::initializer_list<backend_id> backends, duration expected_load = 10s) {
  model_queue q({.limits = {.expected_units = 2, .max_waiting = 8},
                 .expected_load = expected_load,
                 .shards = 1});
  q.attach_shard(0, {}, start);
  for (const auto id : backends) q.add_backend(id, start);
  return q;
}

shard_batch reporting(const backend_report& report) {
  shard_batch batch;
  batch.backends = {report};
  return batch;
}

shard_batch asking(std::vector<ticket> tickets) {
  shard_batch batch;
  batch.tickets = std::move(tickets);
  return batch;
}

// A request ended after four seconds, and the next one has its unit.
shard_batch ending() {
  auto batch = reporting({.backend = 1, .ended = 1, .in_use = {1}});
  batch.settled = {.completed = 1, .service = 4s};
  return batch;
}

// Backend 1 is open with one unit, which a request has in use.
model_queue busy_queue() {
  auto q = queue_with({1});
  q.open(1, 1, run, start);
  q.take(reporting({.backend = 1, .in_use = {1}}), start);
  return q;
}

ticket of(ticket_id id, bool is_patient = false) {
  ticket t;
  t.id = id;
  t.deadline = start + 1h;
  t.is_patient = is_patient;
  return t;
}

shard_batch noticing(const runtime_signs& signs) {
  return reporting({.backend = 1, .in_use = {1}, .signs = signs});
}

duration eta_of(model_queue& q, ticket_id id, time_point now) {
  shard_batch batch;
  batch.place_queries = {id};
  const auto told = all<tell_place>(q.take(batch, now));
  BOOST_REQUIRE_EQUAL(told.size(), 1u);
  return told[0].eta;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_backend_hears_of_trouble_and_then_of_bytes) {
  struct scene {
    runtime_signs signs;
    bool is_told;
  };
  const scene scenes[] = {
      {{.run = run, .heard = true}, false},
      {{.run = run, .deadlines = 1}, true},
      {{.run = run, .heard = true}, true},
      {{.run = run, .heard = true}, false},
      {{.run = run, .heard = true, .deadlines = 1}, true},
      {{.run = run - 1, .deadlines = 1}, false},  // of an earlier run
      {{.run = run + 1, .deadlines = 1}, false},
      {{}, false},
  };
  auto q = busy_queue();
  for (const auto& [signs, is_told] : scenes) {
    const auto told = all<tell_signs>(q.take(noticing(signs), start));
    BOOST_REQUIRE_EQUAL(told.size(), is_told ? 1u : 0u);
    if (is_told) BOOST_TEST(told[0].signs.deadlines == signs.deadlines);
    BOOST_TEST(q.permits().is_open(1));
  }
}

BOOST_AUTO_TEST_CASE(the_backend_hears_of_the_first_request_that_a_run_served) {
  auto q = busy_queue();
  for (const auto this_run : {run, run + 1}) {
    q.open(1, 1, this_run, start);
    q.open(1, 1, this_run, start);  // it was found healthy
    const runtime_signs served{.run = this_run, .completed = true};
    const auto told = all<tell_signs>(q.take(noticing(served), start));
    BOOST_REQUIRE_EQUAL(told.size(), 1u);
    BOOST_TEST(told[0].signs.completed);
    BOOST_TEST(all<tell_signs>(q.take(noticing(served), start)).empty());
    q.open(1, 1, this_run, start);
    BOOST_TEST(all<tell_signs>(q.take(noticing(served), start)).empty());
  }
}

BOOST_AUTO_TEST_CASE(what_comes_back_after_a_refused_connection_is_not_sent_there_again) {
  auto q = busy_queue();
  auto batch = noticing({.run = run, .refused = true});
  batch.backends[0].units_returned = 1;
  batch.backends[0].in_use = {};
  batch.tickets = {of(7)};
  batch.tickets[0].place = queue_place{start};
  const auto effects = q.take(batch, start);
  BOOST_TEST(all<tell_signs>(effects).size() == 1u);
  BOOST_TEST(all<grant_permit>(effects).empty());
  BOOST_TEST(q.permits().waiting() == 1u);
  // Bytes on an old connection are told as long as it is closed.
  for (int i = 0; i < 2; ++i) {
    BOOST_TEST(all<tell_signs>(q.take(noticing({.run = run, .heard = true}), start)).size() == 1u);
  }
  BOOST_TEST(all<grant_permit>(q.open(1, 1, run, start)).size() == 1u);  // it was found healthy
  BOOST_TEST(all<tell_signs>(q.take(noticing({.run = run, .heard = true}), start)).empty());
}

BOOST_AUTO_TEST_CASE(another_backend_takes_what_comes_back) {
  auto q = busy_queue();
  q.add_backend(2, start);
  q.open(2, 1, 1, start);
  auto batch = noticing({.run = run, .refused = true});
  batch.backends.push_back({.backend = 2, .units_returned = 1});
  batch.tickets = {of(7)};
  const auto granted = all<grant_permit>(q.take(batch, start));
  BOOST_REQUIRE_EQUAL(granted.size(), 1u);
  BOOST_TEST(granted[0].backend == 2u);
}

BOOST_AUTO_TEST_CASE(a_refused_connection_answers_the_question_whether_it_is_idle) {
  auto q = busy_queue();
  q.take(reporting({.backend = 1}), start);  // the unit is a credit
  q.close(1, 5, true, start);
  const auto told = all<tell_not_idle>(q.take(noticing({.run = run, .refused = true}), start));
  BOOST_REQUIRE_EQUAL(told.size(), 1u);
  BOOST_TEST(told[0].closing == 5u);
  BOOST_TEST(!q.permits().is_open(1));
  // An order to close is in force still.
  q.close(1, 6, false, start);
  BOOST_TEST(all<tell_not_idle>(q.take(noticing({.run = run, .refused = true}), start)).empty());
  const auto back = reporting({.backend = 1, .units_returned = 1});
  BOOST_TEST(all<tell_drained>(q.take(back, start)).at(0).closing == 6u);
}

BOOST_AUTO_TEST_CASE(until_it_is_ready_only_who_said_so_waits) {
  auto q = queue_with({1});
  q.take(asking({of(1), of(2, true), of(3)}), start);
  const auto at_once =
      all<refuse_ticket>(q.refuse_waiting(1, refusal::model_failed, 0s, "gone", start, true));
  BOOST_REQUIRE_EQUAL(at_once.size(), 2u);
  for (const auto& r : at_once) {
    BOOST_TEST(r.id != 2u);
    BOOST_TEST((r.retry_after >= 1s));
  }
  const auto later = q.take(asking({of(4), of(5, true)}), start + 1h - 1s);
  BOOST_REQUIRE_EQUAL(all<refuse_ticket>(later).size(), 1u);
  BOOST_TEST(all<refuse_ticket>(later)[0].id == 4u);
  BOOST_TEST((all<refuse_ticket>(later)[0].why == refusal::model_failed));
  BOOST_TEST(q.detail_of(refusal::model_failed) == "gone");
  BOOST_TEST(all<grant_permit>(q.open(1, 4, run, start + 1h - 1s)).size() == 2u);
  BOOST_TEST(all<refuse_ticket>(q.take(asking({of(6)}), start + 1h - 1s)).empty());
}

BOOST_AUTO_TEST_CASE(other_refusals_spare_nobody) {
  auto q = queue_with({1});
  q.take(asking({of(1, true)}), start);
  BOOST_TEST(all<refuse_ticket>(q.refuse_waiting(1, refusal::model_failed, 5s, "", start)).size() ==
             1u);
  BOOST_TEST(all<refuse_ticket>(q.take(asking({of(2, true)}), start)).size() == 1u);
  auto stopping = queue_with({1});
  stopping.take(asking({of(1, true)}), start);
  stopping.refuse_waiting(1, refusal::model_failed, 0s, "", start, true);
  BOOST_TEST(all<refuse_ticket>(stopping.stop(start)).size() == 1u);
  BOOST_TEST(all<refuse_ticket>(stopping.take(asking({of(2, true)}), start)).size() == 1u);
}

// A swap behind a model that does not let go: nobody knows when the load begins.
BOOST_AUTO_TEST_CASE(an_estimate_that_is_over_grows) {
  for (const auto expected : {1s, 40s}) {
    auto q = queue_with({1}, expected);
    q.take(asking({of(1)}), start);
    auto last = eta_of(q, 1, start);
    BOOST_TEST((last == expected));
    for (auto now = start + 1s; now < start + 120s; now += 1s) {
      const auto eta = eta_of(q, 1, now);
      BOOST_TEST((eta >= last));
      BOOST_TEST((eta >= now - start - expected));
      last = eta;
    }
  }
}

BOOST_AUTO_TEST_CASE(a_load_that_takes_longer_than_it_used_to_is_told_so) {
  auto q = queue_with({1});
  q.take(asking({of(1)}), start);
  q.set_load(1, 10s, start + 10s, start);
  BOOST_TEST((eta_of(q, 1, start + 4s) == 6s));
  BOOST_TEST((eta_of(q, 1, start + 10s) == 0s));
  BOOST_TEST((eta_of(q, 1, start + 15s) == 5s));
  BOOST_TEST((eta_of(q, 1, start + 40s) == 30s));
}

BOOST_AUTO_TEST_CASE(behind_requests_that_do_not_end_the_estimate_grows_too) {
  auto q = busy_queue();
  q.take(ending(), start);
  q.take(asking({of(1)}), start + 1s);
  BOOST_TEST((eta_of(q, 1, start + 2s) == 4s));
  BOOST_TEST((eta_of(q, 1, start + 5s) == 4s));
  BOOST_TEST((eta_of(q, 1, start + 65s) == 64s));
  q.take(ending(), start + 66s);
  BOOST_TEST((eta_of(q, 1, start + 66s) == 4s));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::scheduling::test
