// An operator's orders to a backend: who asked hears how they end.
#include <memory>
#include <optional>

#include "tests/actors/model_backend_fixture.hpp"

namespace signalbox::test {
BOOST_AUTO_TEST_SUITE(model_backend_orders_tests)
namespace {

using scheduling::exit_reason;
using scheduling::lifecycle_state;

struct order_fixture : backend_fixture {
  using answer = std::shared_ptr<std::optional<order_report>>;

  template <class Order>
  answer give(Order what) {
    const auto out = std::make_shared<std::optional<order_report>>();
    (*system).spawn([=, target = backend](caf::event_based_actor* self) {
      self->request(target, caf::infinite, what)
          .then([out](const order_report& report) { *out = report; },
                [out](const caf::error&) {
                  *out = {order_end::overruled, "no answer"};
                });
    });
    system.run();
    return out;
  }

  static bool is(const answer& given, order_end how) {
    return given->has_value() && (*given)->how == how;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_start_is_answered_when_it_is_ready, order_fixture) {
  const auto start = give(order_start{});
  BOOST_TEST(heard("holder 5 acquires 16 GiB"));
  send(queue_activity{system.now(), false});  // no request waits
  send(lease_granted{11, one_gpu});
  BOOST_TEST(!start->has_value());
  tell_ready(*driver.runs[0]);
  system.run();
  BOOST_TEST(is(start, order_end::done));
  BOOST_TEST(is(give(order_start{}), order_end::done));
  BOOST_TEST(driver.runs.size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(a_start_that_fails_says_why_and_what_may_help, order_fixture) {
  const auto start = give(order_start{});
  send(lease_granted{11, one_gpu});
  driver.runs[0]->tell(
      runtime_exited{1, exit_reason::oom, "exit status 1", {"words"}, "Take less."});
  system.run();
  BOOST_REQUIRE(is(start, order_end::failed));
  BOOST_TEST((*start)->why == "oom: exit status 1. What may help: Take less.");
  BOOST_REQUIRE_EQUAL(records.size(), 1u);
  BOOST_TEST(records[0].detail == "exit status 1. What may help: Take less.");
  driver.runs[0]->tell(runtime_released{1});
  system.run();
  BOOST_TEST(status().cure == "Take less.");
}

BOOST_FIXTURE_TEST_CASE(a_start_without_room_is_given_up, order_fixture) {
  const auto start = give(order_start{});
  system.advance(from_seconds(settings.models[0].start_timeout_s) + 10s, 1s);
  BOOST_TEST(is(start, order_end::no_room));
  BOOST_TEST(heard("withdraw"));
  send(lease_refused{refusal::does_not_fit});
  BOOST_TEST((state() == lifecycle_state::stopped));
}

BOOST_FIXTURE_TEST_CASE(a_stop_is_answered_when_the_tree_is_gone, order_fixture) {
  become_ready();
  const auto stop = give(order_stop{true});
  BOOST_TEST(heard("close 1"));
  BOOST_TEST(driver.runs[0]->stops.empty());
  send(queue_drained{1});
  BOOST_TEST(driver.runs[0]->stops.size() == 1u);
  BOOST_TEST(!stop->has_value());
  tell_gone(*driver.runs[0], exit_reason::asked);
  system.run();
  BOOST_TEST(is(stop, order_end::done));
  BOOST_TEST(heard("release 11"));
  BOOST_TEST(records.empty());
  BOOST_TEST(is(give(order_stop{true}), order_end::done));
}

BOOST_FIXTURE_TEST_CASE(a_stop_at_once_waits_for_no_request, order_fixture) {
  become_ready();
  const auto stop = give(order_stop{false});
  BOOST_TEST(heard("close 1"));
  BOOST_TEST(driver.runs[0]->stops.size() == 1u);
  const auto again = give(order_start{});
  tell_gone(*driver.runs[0], exit_reason::asked);
  system.run();
  BOOST_TEST(is(stop, order_end::done));  // although the next run is on its way
  BOOST_TEST(!again->has_value());
  send(lease_granted{12, one_gpu});
  tell_ready(*driver.runs.back());
  system.run();
  BOOST_TEST(is(again, order_end::done));
}

BOOST_FIXTURE_TEST_CASE(a_stop_overrules_a_start, order_fixture) {
  const auto start = give(order_start{});
  const auto stop = give(order_stop{true});
  BOOST_TEST(is(start, order_end::overruled));
  BOOST_TEST(is(stop, order_end::done));
}

BOOST_FIXTURE_TEST_CASE(a_backend_that_ends_answers_what_waits, order_fixture) {
  become_ready();
  send(stop_all{});
  BOOST_TEST(is(give(order_start{}), order_end::overruled));
  const auto stop = give(order_stop{true});
  caf::anon_send_exit(backend, caf::exit_reason::kill);
  system.run();
  BOOST_TEST(is(stop, order_end::overruled));
}

BOOST_FIXTURE_TEST_CASE(the_board_tells_of_the_runtime_that_runs, order_fixture) {
  BOOST_TEST((status().started_at == wall_time{}));
  BOOST_TEST(!status().is_healthy);
  become_ready();
  BOOST_TEST((status().started_at != wall_time{}));
  BOOST_TEST(status().port == 18000u);
  BOOST_TEST(status().is_healthy);
  give(order_stop{false});
  BOOST_TEST(!status().is_healthy);
  tell_gone(*driver.runs[0], exit_reason::asked);
  system.run();
  BOOST_TEST((status().started_at == wall_time{}));
  BOOST_TEST(status().port == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace signalbox::test
