// The shard's side of admission against the real queue core: units are conserved, every ticket ends
// once, and a dropped permit is a settled one.
#include <array>
#include <boost/test/unit_test.hpp>

#include <map>
#include <memory>
#include <random>

#include "tests/http/gate_rig.hpp"

using namespace signalbox;
using namespace signalbox::http;
using namespace signalbox::http::test;

BOOST_AUTO_TEST_SUITE(gate)

BOOST_AUTO_TEST_CASE(credits_serve_without_the_queue_until_they_are_used_up) {
  rig r(1, 2, 10);
  r.deliver_to(0);
  auto a = r.gates[0]->take({}, r.now), b = r.gates[0]->take({}, r.now);
  BOOST_TEST(a.has_value());
  BOOST_TEST(b.has_value());
  BOOST_TEST(!r.gates[0]->take({}, r.now).has_value());
  a->settle(outcome::completed);
  BOOST_TEST(r.gates[0]->take({}, r.now).has_value());
}

BOOST_AUTO_TEST_CASE(a_dropped_permit_is_settled_once_as_cancelled) {
  rig r(1, 1, 10);
  r.deliver_to(0);
  {
    auto a = r.gates[0]->take({}, r.now);
    permit moved = std::move(*a);
    BOOST_TEST(r.gates[0]->in_use(0) == 1u);
  }
  BOOST_TEST(r.gates[0]->in_use(0) == 0u);
  r.flush();
  BOOST_REQUIRE(r.to_queue.size() == 1u);
  BOOST_TEST(r.to_queue[0].settled.cancelled == 1u);
  BOOST_TEST(r.to_queue[0].settled.total() == 1u);
}

BOOST_AUTO_TEST_CASE(one_unlike_others_is_counted_but_is_no_estimate) {
  rig r(1, 2, 10);
  r.deliver_to(0);
  auto usual = r.gates[0]->take({}, r.now), odd = r.gates[0]->take({}, r.now);
  usual->used(10, 100);
  usual->settle(outcome::completed, r.now + std::chrono::seconds(2));
  const auto mean = r.gates[0]->mean_completion(0);
  odd->used(10, 1'000'000);
  odd->is_unlike_others();
  odd->settle(outcome::completed, r.now + std::chrono::hours(1));
  BOOST_TEST(r.gates[0]->mean_completion(0) == mean);
  r.flush();
  BOOST_REQUIRE(r.to_queue.size() == 1u);
  const auto& told = r.to_queue[0].settled;
  BOOST_TEST(told.completed == 2u);
  BOOST_TEST(told.unlike_others == 1u);
  BOOST_TEST((told.service == std::chrono::seconds(2)));
}

BOOST_AUTO_TEST_CASE(nobody_overtakes_a_ticket_of_the_same_shard_by_credit) {
  rig r(1, 1, 10);
  r.deliver_to(0);
  auto running = r.gates[0]->take({}, r.now);
  holder waiting;
  r.gates[0]->wait({}, never, waiting);
  running->settle(outcome::completed);
  BOOST_TEST(!r.gates[0]->take({}, r.now).has_value());
  r.settle_everything();
  BOOST_TEST(waiting.ends == 1);
  BOOST_TEST(static_cast<bool>(waiting.held));
}

BOOST_AUTO_TEST_CASE(a_grant_for_a_ticket_that_left_goes_back) {
  rig r(1, 1, 10);
  r.deliver_to(0);
  auto running = r.gates[0]->take({}, r.now);
  holder waiting;
  const auto id = r.gates[0]->wait({}, never, waiting);
  r.flush();
  r.deliver_to_queue();
  running->settle(outcome::completed);
  r.flush();
  r.deliver_to_queue();  // the grant is under way
  r.gates[0]->leave(0, id);
  r.settle_everything();
  BOOST_TEST(waiting.ends == 0);
  BOOST_TEST(r.gates[0]->in_use(0) == 0u);
  BOOST_TEST(r.gates[0]->take({}, r.now).has_value());
}

BOOST_AUTO_TEST_CASE(what_a_principal_was_served_is_told_once_a_turn) {
  rig r(1, 10, 10);
  r.deliver_to(0);
  const admission_request one{.principal = 1, .weight = 2, .prompt_tokens = 100};
  const admission_request two{.principal = 2, .prompt_tokens = 50};
  std::vector<permit> permits;
  for (int i = 0; i < 3; ++i) {
    permits.push_back(*r.gates[0]->take(one, r.now));
    permits.push_back(*r.gates[0]->take(two, r.now));
  }
  permits[0].used(100, 40);  // 180: a prompt token counts 1, another one 2
  permits[0].settle(outcome::completed);
  r.flush();
  BOOST_REQUIRE(r.to_queue.size() == 1u);
  const auto& served = r.to_queue[0].served;
  BOOST_REQUIRE(served.size() == 2u);
  BOOST_TEST(served[0].principal == 1u);
  BOOST_TEST(served[0].weight == 2);
  BOOST_TEST(served[0].begun == 3u);
  BOOST_TEST(served[0].charged == 300);
  BOOST_TEST(served[0].ended == 1u);
  BOOST_TEST(served[0].corrected == 80);
  BOOST_TEST(served[1].charged == 150);
  BOOST_TEST(served[1].ended == 0u);
  // The next one is expected to be answered with as much as those before, in the mean.
  auto next = *r.gates[0]->take(two, r.now);
  next.settle(outcome::cancelled);
  r.to_queue.clear();
  r.flush();
  BOOST_TEST(r.to_queue[0].served[0].charged == 58, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(r.to_queue[0].served[0].corrected == -57, boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(a_queue_that_was_restarted_hears_nothing_of_earlier_charges) {
  rig r(1, 10, 10);
  r.deliver_to(0);
  auto running = *r.gates[0]->take({.principal = 1, .prompt_tokens = 1000}, r.now);
  r.flush();
  r.to_queue.clear();
  r.gates[0]->reintroduce(0);
  running.settle(outcome::completed);
  r.flush();
  BOOST_REQUIRE(r.to_queue.size() == 1u);
  BOOST_TEST(r.to_queue[0].settled.completed == 1u);
  BOOST_TEST(r.to_queue[0].served.empty());
}

BOOST_AUTO_TEST_CASE(a_new_queue_gets_the_tickets_in_their_order) {
  rig r(1, 0, 100);
  std::array<holder, 20> waiting;
  for (auto& h : waiting) h.id = r.gates[0]->wait({}, never, h);
  r.flush();
  r.to_queue.clear();
  r.gates[0]->reintroduce(0);
  r.flush();
  BOOST_REQUIRE(r.to_queue.size() == 1u);
  const auto& sent = r.to_queue[0].tickets;
  BOOST_TEST(sent.size() == waiting.size());
  for (std::size_t i = 0; i < sent.size(); ++i) BOOST_TEST(sent[i].id == waiting[i].id);
}

BOOST_AUTO_TEST_CASE(a_grant_for_who_left_is_not_counted_as_served) {
  rig r(1, 1, 10);
  r.deliver_to(0);
  auto running = r.gates[0]->take({}, r.now);
  holder waiting;
  const auto id = r.gates[0]->wait({.principal = 7, .prompt_tokens = 500}, never, waiting);
  r.flush();
  r.deliver_to_queue();
  running->settle(outcome::completed);
  r.flush();
  r.deliver_to_queue();  // the grant is under way, and charged
  r.gates[0]->leave(0, id);
  r.to_queue.clear();
  r.deliver_to(0);
  r.flush();
  BOOST_REQUIRE(r.to_queue.size() == 1u);
  BOOST_REQUIRE(r.to_queue[0].served.size() == 1u);
  BOOST_TEST(r.to_queue[0].served[0].principal == 7u);
  BOOST_TEST(r.to_queue[0].served[0].corrected == -499);
}

BOOST_AUTO_TEST_CASE(a_ticket_that_came_and_left_in_one_turn_never_waited) {
  rig r(1, 1, 10);
  r.deliver_to(0);
  auto running = r.gates[0]->take({}, r.now);
  holder waiting;
  r.gates[0]->leave(0, r.gates[0]->wait({}, never, waiting));
  r.flush();
  BOOST_TEST(r.to_queue.size() == 1u);
  r.deliver_to_queue();
  BOOST_TEST(r.core.permits().waiting() == 0u);
}

BOOST_AUTO_TEST_CASE(credits_are_spent_at_the_least_loaded_backend) {
  rig r(1, 2, 10, 2);
  r.deliver_to(0);
  auto a = *r.gates[0]->take({}, r.now), b = *r.gates[0]->take({}, r.now);
  BOOST_TEST(a.endpoint()->backend != b.endpoint()->backend);
  a.settle(outcome::completed);
  auto c = *r.gates[0]->take({}, r.now);
  BOOST_TEST(c.endpoint()->backend != b.endpoint()->backend);
  BOOST_TEST(r.gates[0]->in_use(0) == 2u);
}

BOOST_AUTO_TEST_CASE(a_unit_returns_to_the_backend_that_it_came_from) {
  rig r(1, 1, 10, 2);
  r.deliver_to(0);
  auto a = *r.gates[0]->take({}, r.now), b = *r.gates[0]->take({}, r.now);
  r.carry_out(r.core.close(a.endpoint()->backend, 1, false, r.now));
  r.deliver_to(0);
  const auto closed = a.endpoint()->backend, open = b.endpoint()->backend;
  a.settle(outcome::completed);
  b.settle(outcome::completed);
  r.settle_everything();
  BOOST_TEST(r.core.permits().held(closed) == 0u);
  BOOST_TEST(r.gates[0]->take({}, r.now)->endpoint()->backend == open);
}

BOOST_AUTO_TEST_CASE(random_traffic_conserves_units_and_ends_every_ticket_once) {
  for (unsigned seed = 0; seed < 200; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      std::mt19937 random(seed);
      const std::uint32_t limit = 1 + random() % 5, shards = 1 + random() % 3;
      rig r(shards, limit, 20);
      std::vector<std::unique_ptr<holder>> holders;
      std::map<int, permit> running;
      int next = 0;
      for (int step = 0; step < 400; ++step) {
        r.now += std::chrono::milliseconds(random() % 5);
        const shard_id s = static_cast<shard_id>(random() % shards);
        switch (random() % 6) {
          case 0:
            r.flush();
            break;
          case 1:
            r.deliver_to_queue();
            break;
          case 2:
            r.deliver_to(s);
            break;
          case 3:
            if (auto p = r.gates[s]->take({}, r.now)) {
              running.emplace(next++, std::move(*p));
            } else {
              auto& h = *holders.emplace_back(std::make_unique<holder>());
              h.id = r.gates[s]->wait({}, never, h);
            }
            break;
          case 4:
            if (!running.empty()) running.erase(running.begin());
            break;
          case 5:
            for (auto& h : holders) {
              if (h->held) {
                h->held.settle(outcome::completed);
                break;
              }
            }
            break;
        }
        std::uint32_t in_use = 0;
        for (auto& gate : r.gates) in_use += gate->in_use(0);
        BOOST_REQUIRE_LE(in_use, limit);
        for (auto& h : holders) BOOST_REQUIRE_LE(h->ends, 1);
      }
      running.clear();
      for (int round = 0; round < 50; ++round) {
        r.settle_everything();
        for (auto& h : holders) h->held.settle(outcome::completed);
      }
      for (auto& h : holders) BOOST_TEST(h->ends == 1);
      r.carry_out(r.core.close(1, 1, false, r.now));
      r.settle_everything();
      BOOST_TEST(r.core.permits().held() == 0u);
      BOOST_TEST(r.core.permits().held() == 0u);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
