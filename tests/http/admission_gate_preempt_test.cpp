// Requests that give up their permits to make room, and wait again where they stood.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <utility>

#include "tests/http/gate_rig.hpp"

using namespace signalbox;
using namespace signalbox::http;
using namespace signalbox::http::test;

BOOST_AUTO_TEST_SUITE(gate_preemption)

BOOST_AUTO_TEST_CASE(a_preempted_request_waits_again_and_was_served_nothing) {
  rig r(1, 1, 10);
  r.deliver_to(0);
  const admission_request batch{.work = work_class::batch, .principal = 3, .prompt_tokens = 100};
  auto running = *r.gates[0]->take(batch, r.now);
  r.flush();
  r.deliver_to_queue();
  r.carry_out(r.core.preempt(work_class::batch, r.now));
  r.deliver_to(0);
  BOOST_REQUIRE(r.preempted.size() == 1u);
  BOOST_TEST((r.preempted[0] == work_class::batch));
  holder first, again;
  r.gates[0]->wait({}, never, first);
  r.gates[0]->wait_again(std::move(running), batch, never, again);
  r.flush();
  BOOST_REQUIRE(r.to_queue.size() == 1u);
  BOOST_TEST(r.to_queue[0].settled.total() == 0u);  // it did not end
  BOOST_REQUIRE(r.to_queue[0].served.size() == 1u);
  BOOST_TEST(r.to_queue[0].served[0].corrected == -100);
  BOOST_TEST(r.to_queue[0].served[0].ended == 1u);
  r.settle_everything();
  BOOST_TEST(static_cast<bool>(first.held));
  BOOST_TEST(!again.held);
  first.held.settle(outcome::completed);
  r.settle_everything();
  BOOST_TEST(static_cast<bool>(again.held));
}

BOOST_AUTO_TEST_CASE(a_preempted_request_waits_where_it_stood) {
  rig r(1, 1, 10);
  r.deliver_to(0);
  const admission_request batch{.work = work_class::batch, .principal = 3, .prompt_tokens = 100};
  auto by_credit = *r.gates[0]->take(batch, r.now);
  const auto began = r.now;
  holder later, again, third;
  r.now += std::chrono::seconds(1);
  r.gates[0]->wait(batch, never, later);
  r.settle_everything();
  // It had no ticket: it stands where one would that had come as it took the permit.
  r.gates[0]->wait_again(std::move(by_credit), batch, never, again);
  r.flush();
  BOOST_REQUIRE(r.to_queue.size() == 1u);
  BOOST_TEST((r.to_queue[0].tickets.at(0).place == scheduling::queue_place{began}));
  r.settle_everything();
  BOOST_TEST(static_cast<bool>(again.held));
  BOOST_TEST(!later.held);
  // With a ticket: where that stood, as the queue told it.
  r.gates[0]->wait_again(std::move(again.held), batch, never, third);
  r.flush();
  const auto place = r.to_queue.at(0).tickets.at(0).place;
  BOOST_REQUIRE(place.has_value());
  BOOST_TEST((place->arrival == began));
  BOOST_TEST(place->sequence == 2u);
  r.settle_everything();
  BOOST_TEST(static_cast<bool>(third.held));
  BOOST_TEST(!later.held);
}

BOOST_AUTO_TEST_CASE(a_restarted_queue_hears_of_no_old_place) {
  rig r(1, 2, 10);
  r.deliver_to(0);
  auto first = *r.gates[0]->take({}, r.now), second = *r.gates[0]->take({}, r.now);
  holder before, after;
  r.gates[0]->wait_again(std::move(first), {}, never, before);
  r.flush();
  BOOST_TEST(r.to_queue.at(0).tickets.at(0).place.has_value());
  r.to_queue.clear();  // the queue is gone
  BOOST_TEST(r.gates[0]->reintroduce(0).size() == 1u);
  r.gates[0]->wait_again(std::move(second), {}, never, after);
  r.flush();
  BOOST_REQUIRE(r.to_queue.size() == 1u);
  const auto& tickets = r.to_queue[0].tickets;
  BOOST_REQUIRE(tickets.size() == 2u);
  for (const auto& t : tickets) BOOST_TEST(!t.place.has_value());
}

BOOST_AUTO_TEST_SUITE_END()
