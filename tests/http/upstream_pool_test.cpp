// How the pools of all shards share what a backend takes: with a runtime that has a thread for each
// connection, an idle one of a shard is in the way of another shard's request.
#include "http/proxy/upstream_pool.hpp"

#include <boost/asio/post.hpp>
#include <boost/test/unit_test.hpp>

#include "tests/http/upstream_rig.hpp"

namespace signalbox::http {
namespace {

using namespace std::chrono_literals;

struct three_shards : upstream_fixture {
  upstream_pools all;
  upstream_pool first{io, &all}, second{io, &all}, third{io, &all};

  three_shards() {
    for (auto* one : {&first, &second, &third}) {
      all.add(*one, [this](std::function<void()> task) { boost::asio::post(io, std::move(task)); });
    }
  }
  // Until no more are open, as the runtime sees it, too.
  void settle(std::uint32_t most) {
    run_until([&] {
      const auto open = link().open();
      return open <= most &&
             runtime.connections == runtime.closed_by_caller + static_cast<int>(open);
    });
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(upstream_pools_of_shards, three_shards)

BOOST_AUTO_TEST_CASE(together_they_open_no_more_than_the_backend_takes) {
  keep_idle(1h, 2);
  exchange(first);
  exchange(first, "", true);
  BOOST_TEST(link().open() == 2u);  // both idle
  const auto next = second.take(place, false);
  BOOST_TEST(link().open() == 3u);
  run_what_is_ready();
  BOOST_TEST(link().open() <= 2u);
  next->abandon();
  for (int i = 0; i < 10; ++i) {
    for (auto* one : {&first, &second, &third}) {
      exchange(*one);
      settle(2);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_is_in_use_is_not_closed) {
  keep_idle(1h, 1);
  answer_recorder busy;
  ask(busy, first);
  answer_recorder more;  // as while a lower limit is not in force yet
  ask(more, second);
  run_what_is_ready();
  BOOST_TEST(link().open() == 2u);
  runtime.say_whole("{}");
  wait_for_end(more);
  settle(1);  // one too many was not kept
  BOOST_TEST(!busy.end.has_value());
}

BOOST_AUTO_TEST_CASE(a_lower_limit_counts_for_what_is_open) {
  keep_idle(1h, 3);
  for (auto* one : {&first, &second, &third}) exchange(*one);
  keep_idle(1h, 1);
  exchange(first);  // on its own connection, which is one too many then
  exchange(first);
  settle(1);
}

BOOST_AUTO_TEST_CASE(a_retry_has_room_where_the_shard_itself_holds_what_is_idle) {
  keep_idle(1h, 1);
  exchange(first);
  exchange(first, "", true);
  settle(1);
}

// Such a runtime accepts a connection once a thread is free.
BOOST_AUTO_TEST_CASE(a_new_connection_that_hears_nothing_ends_what_is_idle) {
  keep_idle(1h, 100);
  exchange(first);
  exchange(second);
  exchange(second, "", true);
  answer_recorder unheard;
  ask(unheard, third);
  settle(1);
  BOOST_TEST(!unheard.end.has_value());
  runtime.say_whole("{}");
  wait_for_end(unheard);
  BOOST_TEST((*unheard.end == upstream_end::complete));
  settle(1);  // and it is kept
}

BOOST_AUTO_TEST_CASE(a_connection_that_was_used_before_waits_for_the_runtime_only) {
  keep_idle(1h, 100);
  exchange(first);
  exchange(second);
  answer_recorder slow;
  ask(slow, second);
  // As long as a new one would wait twice.
  run_until([until = std::chrono::steady_clock::now() + 50ms] {
    return std::chrono::steady_clock::now() >= until;
  });
  BOOST_TEST(link().open() == 2u);
  runtime.say_whole("{}");
  wait_for_end(slow);
}

BOOST_AUTO_TEST_CASE(backends_at_one_address_are_counted_by_themselves) {
  keep_idle(1h, 1);
  exchange(first);
  auto other = std::make_shared<backend_endpoint>(*place);
  other->backend = 2;
  other->link = std::make_shared<backend_link>();
  std::swap(place, other);
  keep_idle(1h, 1);
  exchange(second);
  BOOST_TEST(other->link->open() == 1u);
  BOOST_TEST(place->link->open() == 1u);
}

BOOST_AUTO_TEST_CASE(a_loop_that_ends_gives_all_places_back) {
  {
    struct stoppable_context : boost::asio::io_context {
      using boost::asio::execution_context::shutdown;
    } own;
    upstream_pool leaving{own};
    answer_recorder busy, connecting;
    leaving.take(place, false)->send({"GET / HTTP/1.1\r\n\r\n"}, busy);
    run_until([&] {
      own.restart();
      own.poll();
      return runtime.requests.size() == 1;
    });
    leaving.take(place, false)->send({"GET / HTTP/1.1\r\n\r\n"}, connecting);
    BOOST_TEST(link().open() == 2u);
    own.shutdown();
  }
  BOOST_TEST(link().open() == 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::http
