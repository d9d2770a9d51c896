// What requests notice of a runtime, on its way to the queue.
#include <boost/test/unit_test.hpp>

#include <utility>
#include <vector>

#include "tests/http/gate_rig.hpp"

using namespace signalbox;
using namespace signalbox::http;
using namespace signalbox::http::test;

BOOST_AUTO_TEST_SUITE(gate_signs)

namespace {

struct signs_rig : rig {
  signs_rig() : rig(1, 4, 10) { deliver_to(0); }

  permit take() { return *gates[0]->take({}, now); }
  // Another run of the backend, to which the next permits belong.
  void restart(std::uint64_t run) {
    auto endpoint = std::make_shared<backend_endpoint>();
    endpoint->backend = 1;
    endpoint->incarnation = run;
    gates[0]->handle(credits_given{0, 4, std::move(endpoint)});
  }
  // All that the next batch says.
  scheduling::runtime_signs told() {
    flush();
    const auto batches = std::exchange(to_queue, {});
    scheduling::runtime_signs found;
    for (const auto& batch : batches) {
      for (const auto& report : batch.backends) {
        if (report.signs.run > 0) found = report.signs;
      }
    }
    return found;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(deadlines_count_since_the_last_byte, signs_rig) {
  auto first = take(), second = take(), third = take();
  first.settle(outcome::timed_out);
  third.heard();
  second.settle(outcome::timed_out);
  auto signs = told();
  BOOST_TEST(signs.run == 1u);
  BOOST_TEST(signs.heard);
  BOOST_TEST(signs.deadlines == 1u);
  BOOST_TEST(!signs.refused);
  third.settle(outcome::timed_out);
  signs = told();
  BOOST_TEST(!signs.heard);
  BOOST_TEST(signs.deadlines == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_client_that_leaves_after_a_long_silence_is_a_sign, signs_rig) {
  auto at_once = take(), heard = take(), late = take();
  at_once.settle(outcome::cancelled);
  heard.heard();
  told();
  now += std::chrono::seconds(5);
  heard.settle(outcome::cancelled);
  BOOST_TEST(told().deadlines == 0u);
  late.settle(outcome::cancelled);
  BOOST_TEST(told().deadlines == 1u);
}

BOOST_FIXTURE_TEST_CASE(other_ends_are_no_signs, signs_rig) {
  for (const auto how : {outcome::failed, outcome::cancelled}) take().settle(how);
  BOOST_TEST(told().run == 0u);
}

BOOST_FIXTURE_TEST_CASE(a_request_that_was_served_is_a_sign, signs_rig) {
  take().settle(outcome::completed);
  const auto signs = told();
  BOOST_TEST(signs.run == 1u);
  BOOST_TEST(signs.completed);
  BOOST_TEST(signs.deadlines == 0u);
}

BOOST_FIXTURE_TEST_CASE(a_byte_alone_is_told_with_the_next_report, signs_rig) {
  auto one = take();
  told();
  one.heard();
  gates[0]->flush();  // of urgent messages, which it is not
  BOOST_TEST(to_queue.empty());
  BOOST_TEST(told().heard);
  BOOST_TEST(told().run == 0u);  // once
}

BOOST_FIXTURE_TEST_CASE(a_refused_connection_is_urgent, signs_rig) {
  auto one = take();
  told();
  one.refused();
  gates[0]->flush();
  BOOST_REQUIRE(to_queue.size() == 1u);
  BOOST_TEST(to_queue[0].backends.at(0).signs.refused);
}

BOOST_FIXTURE_TEST_CASE(what_is_noticed_of_an_earlier_run_is_not_said_of_the_next, signs_rig) {
  auto old = take();
  restart(2);
  auto next = take();
  old.refused();
  next.heard();
  old.settle(outcome::timed_out);
  const auto signs = told();
  BOOST_TEST(signs.run == 2u);
  BOOST_TEST(signs.heard);
  BOOST_TEST(signs.deadlines == 0u);
  BOOST_TEST(!signs.refused);
}

BOOST_AUTO_TEST_SUITE_END()
