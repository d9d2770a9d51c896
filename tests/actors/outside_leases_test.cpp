// The actor of outside leases with a real pool and a real file. Its writer has a thread of its own,
// so that these tests run in real time.
#include "actors/outside_leases_actor.hpp"

#include <unistd.h>

#include <thread>

#include "actors/gpu_lease_actor.hpp"
#include "tests/actors/support.hpp"
#include "tests/scratch_folder.hpp"

namespace signalbox::test {
BOOST_AUTO_TEST_SUITE(outside_leases_tests)
namespace {

using scheduling::lease_end;
using scheduling::outside_state;
using scheduling::outside_verdict;

const scheduling::lease_viewer lease_owner{"key_a"};

struct leases_fixture {
  leases_fixture() { start_pool(); }
  ~leases_fixture() {
    stop(outside);
    stop(pool);
  }

  template <class Handle>
  void stop(Handle& handle) {
    caf::scoped_actor self{system};
    self->monitor(handle);
    self->send_exit(handle, caf::exit_reason::kill);
    self->receive([](const caf::down_msg&) {});
    handle = nullptr;
  }

  void start_pool() {
    pool = spawn_gpu_lease(system, settings, recorder, board, [this] { return ++epoch; });
    caf::anon_send(pool, hold_grants{});
    if (outside) caf::anon_send(outside, pool);
  }

  void start_outside() {
    outside = spawn_outside_leases(system, settings, file);
    caf::anon_send(outside, pool);
  }

  template <class Order>
  lease_answer ask(const Order& order) {
    caf::scoped_actor self{system};
    std::optional<lease_answer> got;
    self->request(outside, 20s, order)
        .receive([&](const lease_answer& answer) { got = answer; }, [](const caf::error&) {});
    BOOST_REQUIRE(got);
    return *got;
  }

  lease_answer submit(const std::string& id, std::uint64_t bytes, duration wait = 10s,
                      std::int64_t pid = 0) {
    submit_lease order;
    order.request.id = id;
    order.request.key_id = lease_owner.key_id;
    order.request.need = {bytes, 1};
    order.request.ttl = 60s;
    order.wait = wait;
    order.pid = pid;
    return ask(order);
  }

  outside_state state(const std::string& id) {
    const auto answer = ask(find_lease{id, lease_owner, {}});
    BOOST_REQUIRE(answer.lease);
    return answer.lease->state;
  }

  std::uint64_t used() const {
    std::uint64_t sum = 0;
    for (const auto& [index, gpu] : board.snapshot()->gpus) sum += gpu.used;
    return sum;
  }

  void until_used(std::uint64_t bytes) {
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (used() != bytes && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    BOOST_REQUIRE_EQUAL(used(), bytes);
  }

  config::settings settings = two_models();
  std::uint64_t whole = settings.gpus.at(0).memory;
  scratch_folder folder;
  persistence::lease_file file{folder.path()};
  metrics recorder{settings.gpus.size(), 1};
  status_board board;
  std::atomic<std::uint32_t> epoch{0};
  caf::actor_system_config config;
  caf::actor_system system{config};
  gpu_lease_actor pool;
  outside_leases_actor outside;
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_grant_stands_in_the_file_when_it_is_told, leases_fixture) {
  start_outside();
  const auto answer = submit("lease_1", config::gib);
  BOOST_REQUIRE(answer.lease && answer.lease->state == outside_state::granted);
  const auto kept = file.read();
  BOOST_REQUIRE_EQUAL(kept.size(), 1u);
  BOOST_TEST(kept[0].token == answer.lease->token);
  BOOST_TEST((kept[0].gpus == answer.lease->gpus));
  BOOST_TEST(kept[0].request.key_id == "key_a");
  BOOST_TEST(used() == config::gib);
}

BOOST_FIXTURE_TEST_CASE(a_release_frees_the_memory_for_who_waits, leases_fixture) {
  start_outside();
  const auto first = submit("lease_1", whole);
  BOOST_REQUIRE(first.lease->state == outside_state::granted);
  if (settings.gpus.size() > 1) submit("lease_2", whole);
  BOOST_REQUIRE(submit("lease_3", whole, 0s).lease->state == outside_state::waiting);
  BOOST_TEST((ask(end_lease{"lease_1", lease_owner}).lease->state == outside_state::ended));
  const auto third = ask(find_lease{"lease_3", lease_owner, 10s});
  BOOST_REQUIRE(third.lease->state == outside_state::granted);
  BOOST_TEST(third.lease->token > first.lease->token);
}

BOOST_FIXTURE_TEST_CASE(a_request_that_never_fits_is_answered_at_once, leases_fixture) {
  start_outside();
  const auto answer = submit("lease_1", whole + 1);
  BOOST_TEST((answer.lease->end == lease_end::refused));
}

BOOST_FIXTURE_TEST_CASE(a_pid_that_is_no_process_is_refused, leases_fixture) {
  start_outside();
  BOOST_TEST(submit("lease_1", 1, 10s, 0x7fffffff).has_no_such_process);
  BOOST_TEST(submit("lease_2", 1, 10s, ::getpid()).lease->request.process->pid == ::getpid());
}

BOOST_FIXTURE_TEST_CASE(nothing_is_granted_before_the_file_was_read, leases_fixture) {
  start_outside();
  const auto before = submit("lease_1", whole);
  stop(outside);
  stop(pool);
  start_pool();
  // A holder that comes first does not get what is in use.
  caf::scoped_actor self{system};
  std::optional<lease_granted> grant;
  auto early = system.spawn([&grant]() -> lease_holder_actor::behavior_type {
    return {[](const holder_registered&) {}, [&grant](const lease_granted& m) { grant = m; },
            [](const lease_refused&) {}, [](const lease_asked_back&) {}};
  });
  self->send(pool, register_holder{"early", holder_kind::model}, early);
  scheduling::lease_request request;
  request.holder = 1;
  request.need = {whole, 1};
  self->send(pool, acquire_lease{request});
  start_outside();
  const auto after = ask(find_lease{"lease_1", lease_owner, {}});
  BOOST_REQUIRE(after.lease && after.lease->state == outside_state::granted);
  BOOST_TEST(after.lease->token == before.lease->token);
  BOOST_TEST((ask(renew_lease{"lease_1", lease_owner, before.lease->token}).verdict ==
              outside_verdict::done));
  until_used(whole * settings.gpus.size());  // the early one has the other GPU, if there is one
  stop(early);
  BOOST_TEST(grant.has_value() == (settings.gpus.size() > 1));
  until_used(whole);
}

BOOST_FIXTURE_TEST_CASE(a_new_pool_hears_of_all_leases, leases_fixture) {
  start_outside();
  submit("lease_1", config::gib);
  stop(pool);
  start_pool();
  until_used(config::gib);
  BOOST_TEST((submit("lease_2", config::gib).lease->state == outside_state::granted));
  BOOST_TEST((ask(end_lease{"lease_1", lease_owner}).lease->state == outside_state::ended));
  until_used(config::gib);
}

BOOST_FIXTURE_TEST_CASE(a_wait_that_is_over_says_that_it_waits, leases_fixture) {
  start_outside();
  for (std::size_t i = 0; i < settings.gpus.size(); ++i) {
    submit("lease_" + std::to_string(i), whole);
  }
  BOOST_TEST((submit("late", whole, 50ms).lease->state == outside_state::waiting));
  BOOST_TEST((ask(end_lease{"late", lease_owner}).lease->state == outside_state::ended));
}

BOOST_FIXTURE_TEST_CASE(a_folder_that_cannot_be_written_grants_nothing, leases_fixture) {
  start_outside();
  std::filesystem::remove_all(folder.path());
  BOOST_TEST((submit("lease_1", config::gib, 200ms).lease->state == outside_state::waiting));
  std::filesystem::create_directories(folder.path());
  BOOST_TEST((ask(find_lease{"lease_1", lease_owner, 15s}).lease->state == outside_state::granted));
}

BOOST_AUTO_TEST_SUITE_END()
}  // namespace signalbox::test
