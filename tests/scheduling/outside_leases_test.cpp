#include "scheduling/outside_leases.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace std::chrono_literals;
using signalbox::test::all;
using signalbox::test::are;
using signalbox::test::count;

BOOST_AUTO_TEST_SUITE(outside_lease_rules)

namespace {

constexpr time_point t0{1h};
const gpu_set memory{{0, 1000}};
const lease_viewer owner{"key_a"}, stranger{"key_b"}, monitor{"key_m", true},
    admin{"key_x", true, true};

outside_request wish(const std::string& id = "a") {
  outside_request r;
  r.id = id;
  r.key_id = owner.key_id;
  r.need = {1000, 1};
  r.ttl = 60s;
  return r;
}

outside_request wish_with_process() {
  auto r = wish();
  r.process = process_mark{4711, 99};
  return r;
}

struct scene {
  outside_options options;
  outside_leases core{options};

  // Does what a disk that works does.
  outside_effects write(const outside_effects& effects, time_point now, bool is_durable = true) {
    const auto saves = all<save_leases>(effects);
    BOOST_REQUIRE_EQUAL(saves.size(), 1);
    return core.saved(saves[0].change, is_durable, now);
  }

  void grant(const outside_request& r = wish(), fencing_token token = 7) {
    core.submit(r, t0, t0);
    write(core.memory_granted(r.id, token, memory, t0), t0);
    BOOST_REQUIRE(state(r.id) == outside_state::granted);
  }

  outside_state state(const std::string& id = "a") const { return core.find(id)->state; }
  outside_verdict renew(fencing_token token, time_point now, const lease_viewer& who = owner) {
    return core.renew("a", who, token, now).verdict;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(a_request_asks_the_pool_and_waits, scene) {
  BOOST_CHECK(are<request_memory>(core.submit(wish(), t0, t0).effects));
  BOOST_CHECK(state() == outside_state::waiting);
  BOOST_CHECK_EQUAL(core.find("a")->token, 0);
}

BOOST_FIXTURE_TEST_CASE(told_when_the_file_has_it, scene) {
  core.submit(wish(), t0, t0);
  const auto effects = core.memory_granted("a", 7, memory, t0);
  BOOST_CHECK(are<save_leases>(effects));
  BOOST_CHECK(state() == outside_state::waiting);
  BOOST_CHECK_EQUAL(core.find("a")->token, 0);
  BOOST_REQUIRE_EQUAL(core.records().size(), 1);
  BOOST_CHECK_EQUAL(core.records()[0].token, 7);
  BOOST_CHECK(are<lease_moved>(write(effects, t0 + 1s)));
  const auto view = *core.find("a");
  BOOST_CHECK(view.state == outside_state::granted);
  BOOST_CHECK_EQUAL(view.token, 7);
  BOOST_CHECK(view.gpus == memory);
  BOOST_CHECK(view.expires_at == t0 + 61s);
}

BOOST_FIXTURE_TEST_CASE(not_told_while_the_file_cannot_be_written, scene) {
  core.submit(wish(), t0, t0);
  write(core.memory_granted("a", 7, memory, t0), t0, false);
  BOOST_CHECK(state() == outside_state::waiting);
  BOOST_CHECK(core.next_deadline() == t0 + options.retry_gap);
  const auto again = core.advance(t0 + options.retry_gap);
  write(again, t0 + 2s);
  BOOST_CHECK(state() == outside_state::granted);
}

// The file that is being written does not have what came after.
BOOST_FIXTURE_TEST_CASE(a_later_grant_waits_for_the_next_writing, scene) {
  core.submit(wish("a"), t0, t0);
  core.submit(wish("b"), t0, t0);
  const auto first = core.memory_granted("a", 7, memory, t0);
  BOOST_CHECK(core.memory_granted("b", 8, memory, t0).empty());
  const auto second = write(first, t0);
  BOOST_CHECK(state("a") == outside_state::granted);
  BOOST_CHECK(state("b") == outside_state::waiting);
  write(second, t0);
  BOOST_CHECK(state("b") == outside_state::granted);
}

BOOST_FIXTURE_TEST_CASE(dropped_when_nobody_asks_for_the_ttl, scene) {
  core.submit(wish(), t0 + 10s, t0);
  BOOST_CHECK(core.next_deadline() == t0 + 70s);
  BOOST_CHECK(core.advance(t0 + 69s).empty());
  BOOST_CHECK((are<withdraw_request, lease_ended, lease_moved>(core.advance(t0 + 70s))));
  BOOST_CHECK(state() == outside_state::ended);
  BOOST_CHECK(core.find("a")->end == lease_end::dropped);
}

BOOST_FIXTURE_TEST_CASE(asked_about_by_its_owner_it_waits_on, scene) {
  core.submit(wish(), t0, t0);
  core.ask("a", owner, t0 + 50s, t0 + 50s);
  core.ask("a", monitor, t0 + 59s, t0 + 59s);  // does not count
  BOOST_CHECK(core.next_deadline() == t0 + 110s);
}

// A client that leaves while it waits never hears of its lease.
BOOST_FIXTURE_TEST_CASE(dropped_between_grant_and_file_its_memory_goes_back, scene) {
  core.submit(wish(), t0, t0);
  const auto save = core.memory_granted("a", 7, memory, t0);
  core.advance(t0 + 60s);
  const auto after = write(save, t0 + 61s);
  BOOST_CHECK_EQUAL(count<return_memory>(write(after, t0 + 61s)), 1);
  BOOST_CHECK(state() == outside_state::ended);
}

BOOST_FIXTURE_TEST_CASE(a_request_that_never_fits_is_refused, scene) {
  core.submit(wish(), t0, t0);
  BOOST_CHECK((are<lease_ended, lease_moved>(core.memory_refused("a", t0))));
  BOOST_CHECK(core.find("a")->end == lease_end::refused);
}

BOOST_FIXTURE_TEST_CASE(renewed_by_its_token_it_lasts_for_its_ttl, scene) {
  grant();
  BOOST_CHECK(renew(7, t0 + 30s) == outside_verdict::done);
  BOOST_CHECK(core.find("a")->expires_at == t0 + 90s);
}

BOOST_FIXTURE_TEST_CASE(any_other_token_is_stale, scene) {
  grant();
  BOOST_CHECK(renew(6, t0) == outside_verdict::stale_token);
  BOOST_CHECK(renew(8, t0) == outside_verdict::stale_token);
  core.submit(wish("b"), t0, t0);
  BOOST_CHECK(core.renew("b", owner, 0, t0).verdict == outside_verdict::stale_token);
}

// The timer may be late; the token is stale in time.
BOOST_FIXTURE_TEST_CASE(its_own_token_is_stale_when_its_ttl_is_over, scene) {
  grant();
  BOOST_CHECK(renew(7, t0 + 60s) == outside_verdict::stale_token);
  BOOST_CHECK(state() == outside_state::ending);
  BOOST_CHECK(core.find("a")->end == lease_end::expired);
}

BOOST_FIXTURE_TEST_CASE(released_without_a_process_it_is_believed, scene) {
  grant();
  const auto effects = core.release("a", owner, t0 + 1s).effects;
  BOOST_CHECK((are<lease_moved, save_leases>(effects)));
  const auto after = write(effects, t0 + 1s);
  BOOST_CHECK((are<return_memory, lease_ended, lease_moved>(after)));
  BOOST_CHECK(all<return_memory>(after)[0].is_verified);
  BOOST_CHECK(core.find("a")->end == lease_end::released);
}

BOOST_FIXTURE_TEST_CASE(forgotten_by_the_file_before_its_memory_goes_back, scene) {
  grant();
  const auto effects = core.release("a", owner, t0).effects;
  BOOST_CHECK(core.records().empty());
  BOOST_CHECK_EQUAL(count<return_memory>(effects), 0);
  BOOST_CHECK_EQUAL(count<return_memory>(write(effects, t0)), 1);
}

BOOST_FIXTURE_TEST_CASE(a_full_disk_does_not_keep_the_memory, scene) {
  grant();
  const auto effects = core.release("a", owner, t0).effects;
  BOOST_CHECK_EQUAL(count<return_memory>(write(effects, t0, false)), 1);
}

BOOST_FIXTURE_TEST_CASE(expired_without_a_process_it_goes_back_unverified_after_the_grace, scene) {
  grant();
  BOOST_CHECK(core.next_deadline() == t0 + 60s);
  const auto over = core.advance(t0 + 60s);
  BOOST_CHECK((are<lease_moved, save_leases>(over)));
  BOOST_CHECK(core.records()[0].is_ending);
  BOOST_CHECK(write(over, t0 + 60s).empty());
  BOOST_CHECK(core.next_deadline() == t0 + 90s);
  const auto given_up = core.advance(t0 + 90s);
  const auto after = write(given_up, t0 + 90s);
  BOOST_REQUIRE_EQUAL(count<return_memory>(after), 1);
  BOOST_CHECK(!all<return_memory>(after)[0].is_verified);
}

BOOST_FIXTURE_TEST_CASE(released_in_the_grace_it_goes_back_at_once, scene) {
  grant();
  write(core.advance(t0 + 60s), t0 + 60s);
  const auto after = write(core.release("a", owner, t0 + 61s).effects, t0 + 61s);
  BOOST_CHECK(all<return_memory>(after).at(0).is_verified);
}

BOOST_FIXTURE_TEST_CASE(a_process_that_outlives_the_ttl_keeps_the_memory, scene) {
  grant(wish_with_process());
  auto effects = core.advance(t0 + 60s);
  BOOST_CHECK_EQUAL(count<look_for_process>(effects), 1);
  write(effects, t0 + 60s);
  for (auto t = t0 + 60s; t < t0 + 1h; t += 1s) {
    core.process_seen("a", false, t);
    BOOST_REQUIRE(core.next_deadline() == t + options.look_gap);
    BOOST_REQUIRE((are<look_for_process>(core.advance(t + options.look_gap))));
  }
  const auto after = write(core.process_seen("a", true, t0 + 1h), t0 + 1h);
  BOOST_CHECK(all<return_memory>(after).at(0).is_verified);
}

BOOST_FIXTURE_TEST_CASE(an_admin_ends_the_wait_for_a_process, scene) {
  grant(wish_with_process());
  write(core.advance(t0 + 60s), t0 + 60s);
  core.process_seen("a", false, t0 + 60s);
  core.release("a", admin, t0 + 70s);
  const auto after = write(core.advance(t0 + 100s), t0 + 100s);
  BOOST_CHECK(!all<return_memory>(after).at(0).is_verified);
}

BOOST_FIXTURE_TEST_CASE(a_process_that_outlives_its_release_has_the_grace, scene) {
  grant(wish_with_process());
  const auto effects = core.release("a", owner, t0).effects;
  BOOST_CHECK_EQUAL(count<look_for_process>(effects), 1);
  write(effects, t0);
  core.process_seen("a", false, t0);
  const auto after = write(core.advance(t0 + options.release_grace), t0 + 30s);
  BOOST_CHECK(!all<return_memory>(after).at(0).is_verified);
}

BOOST_FIXTURE_TEST_CASE(asked_back_it_says_until_when, scene) {
  grant();
  BOOST_CHECK(core.find("a")->yield_by == never);
  BOOST_CHECK(are<lease_moved>(core.asked_back("a", t0 + 10s)));
  BOOST_CHECK(core.asked_back("a", t0 + 20s).empty());
  BOOST_CHECK(renew(7, t0 + 30s) == outside_verdict::done);
  BOOST_CHECK(core.find("a")->yield_by == t0 + 70s);
}

BOOST_FIXTURE_TEST_CASE(unyielded_it_ends_at_yield_by_however_often_it_is_renewed, scene) {
  grant();
  core.asked_back("a", t0);
  BOOST_CHECK(renew(7, t0 + 59s) == outside_verdict::done);
  BOOST_CHECK(core.next_deadline() == t0 + 60s);
  core.advance(t0 + 60s);
  BOOST_CHECK(core.find("a")->end == lease_end::unyielded);
  BOOST_CHECK(renew(7, t0 + 61s) == outside_verdict::stale_token);
}

BOOST_FIXTURE_TEST_CASE(asked_back_before_it_is_told, scene) {
  core.submit(wish(), t0, t0);
  const auto save = core.memory_granted("a", 7, memory, t0);
  BOOST_CHECK(core.asked_back("a", t0).empty());
  write(save, t0 + 1s);
  BOOST_CHECK(core.find("a")->yield_by == t0 + 60s);
}

BOOST_FIXTURE_TEST_CASE(a_lease_belongs_to_its_key, scene) {
  grant();
  BOOST_CHECK(core.ask("a", stranger, t0, t0).verdict == outside_verdict::unknown);
  BOOST_CHECK(renew(7, t0, stranger) == outside_verdict::unknown);
  BOOST_CHECK(core.release("a", stranger, t0).verdict == outside_verdict::unknown);
  BOOST_CHECK(core.list(stranger).empty());
}

BOOST_FIXTURE_TEST_CASE(a_monitor_sees_all_and_an_admin_changes_all, scene) {
  grant();
  BOOST_CHECK(core.ask("a", monitor, t0, t0).verdict == outside_verdict::done);
  BOOST_CHECK_EQUAL(core.list(monitor).size(), 1);
  BOOST_CHECK(renew(7, t0, monitor) == outside_verdict::not_owner);
  BOOST_CHECK(core.release("a", monitor, t0).verdict == outside_verdict::not_owner);
  BOOST_CHECK(renew(7, t0, admin) == outside_verdict::done);
  BOOST_CHECK(core.release("a", admin, t0).verdict == outside_verdict::done);
}

BOOST_AUTO_TEST_CASE(bounds_in_all_and_of_a_key) {
  outside_options few;
  few.max_leases = 3;
  few.max_leases_of_key = 2;
  outside_leases core(few);
  auto other = wish("c");
  other.key_id = "key_b";
  BOOST_CHECK(core.submit(wish("a"), t0, t0).verdict == outside_verdict::done);
  BOOST_CHECK(core.submit(wish("b"), t0, t0).verdict == outside_verdict::done);
  BOOST_CHECK(core.submit(wish("d"), t0, t0).verdict == outside_verdict::too_many_of_key);
  BOOST_CHECK(core.submit(other, t0, t0).verdict == outside_verdict::done);
  other.id = "e";
  BOOST_CHECK(core.submit(other, t0, t0).verdict == outside_verdict::too_many);
  core.release("a", owner, t0);
  BOOST_CHECK(core.submit(wish("d"), t0, t0).verdict == outside_verdict::done);
}

BOOST_AUTO_TEST_CASE(ended_leases_are_remembered_for_a_while_and_not_too_many) {
  outside_options few;
  few.max_leases = 2;
  outside_leases core(few);
  for (const auto* id : {"a", "b", "c"}) {
    core.submit(wish(id), t0, t0);
    core.release(id, owner, t0);
  }
  core.advance(t0);
  BOOST_CHECK(!core.find("a"));
  BOOST_CHECK(core.find("b") && core.find("c"));
  BOOST_CHECK(core.list(owner).empty());
  core.advance(t0 + few.memory_of_ends);
  BOOST_CHECK(!core.find("b") && !core.find("c"));
  BOOST_CHECK(core.next_deadline() == never);
}

BOOST_FIXTURE_TEST_CASE(restored_with_its_token_for_one_full_ttl, scene) {
  grant();
  outside_leases next(options);
  BOOST_CHECK(are<adopt_memory>(next.restore(core.records(), t0 + 5h)));
  BOOST_CHECK(next.memory_of("a") == memory);
  BOOST_CHECK(next.memory_granted("a", 4000000000, memory, t0 + 5h).empty());
  BOOST_CHECK(next.find("a")->expires_at == t0 + 5h + 60s);
  BOOST_CHECK(next.renew("a", owner, 7, t0 + 5h + 59s).verdict == outside_verdict::done);
}

BOOST_FIXTURE_TEST_CASE(restored_while_it_was_ending_it_is_stale, scene) {
  grant();
  write(core.advance(t0 + 60s), t0 + 60s);
  outside_leases next(options);
  next.restore(core.records(), t0 + 2h);
  BOOST_CHECK(next.renew("a", owner, 7, t0 + 2h).verdict == outside_verdict::stale_token);
  BOOST_CHECK(next.next_deadline() == t0 + 2h + options.release_grace);
}

BOOST_FIXTURE_TEST_CASE(restored_without_its_process_it_ends, scene) {
  grant(wish_with_process());
  outside_leases next(options);
  BOOST_CHECK((are<adopt_memory, look_for_process>(next.restore(core.records(), t0))));
  const auto gone = next.process_seen("a", true, t0);
  const auto after = next.saved(all<save_leases>(gone).at(0).change, true, t0);
  BOOST_CHECK(all<return_memory>(after).at(0).is_verified);
}

BOOST_FIXTURE_TEST_CASE(restored_with_its_process_it_goes_on, scene) {
  grant(wish_with_process());
  outside_leases next(options);
  next.restore(core.records(), t0);
  BOOST_CHECK(next.process_seen("a", false, t0).empty());
  BOOST_CHECK(next.next_deadline() == t0 + 60s);
}

BOOST_FIXTURE_TEST_CASE(lost_when_its_memory_is_not_there_any_more, scene) {
  grant();
  outside_leases next(options);
  next.restore(core.records(), t0);
  const auto effects = next.memory_refused("a", t0);
  BOOST_CHECK(next.find("a")->end == lease_end::lost);
  BOOST_CHECK(next.renew("a", owner, 7, t0).verdict == outside_verdict::stale_token);
}

BOOST_FIXTURE_TEST_CASE(a_new_pool_hears_of_memory_before_requests, scene) {
  grant(wish("b"));
  core.submit(wish("a"), t0, t0);
  BOOST_CHECK((are<adopt_memory, request_memory>(core.pool_restarted())));
}

BOOST_AUTO_TEST_SUITE_END()
