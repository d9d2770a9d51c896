#include <boost/test/unit_test.hpp>

#include "scheduling/lease_arbiter.hpp"
#include "tests/scheduling/effects.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace std::chrono_literals;
using signalbox::test::all;
using signalbox::test::are;

BOOST_AUTO_TEST_SUITE(lease_arbiter_adopts)

namespace {

constexpr time_point t0{1h};

lease_request request_of(holder_id holder, gpu_need need) {
  lease_request r;
  r.holder = holder;
  r.need = need;
  return r;
}

struct two_gpus {
  lease_arbiter core{{.gpu_memory = {100, 100}, .token_floor = 1000}};
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(memory_that_is_in_use_is_leased_where_it_is, two_gpus) {
  const auto effects = core.adopt(request_of(1, {80, 1}), {{1, 80}}, t0);
  BOOST_REQUIRE(are<lease_grant>(effects));
  const auto grant = all<lease_grant>(effects)[0];
  BOOST_CHECK((grant.gpus == gpu_set{{1, 80}}));
  BOOST_CHECK_EQUAL(grant.token, 1001);
  BOOST_CHECK_EQUAL(core.used_memory(1), 80);
  BOOST_CHECK_EQUAL(core.used_memory(0), 0);
  const auto next = core.acquire(request_of(2, {80, 1}), t0);
  BOOST_CHECK((all<lease_grant>(next).at(0).gpus == gpu_set{{0, 80}}));
}

BOOST_FIXTURE_TEST_CASE(memory_that_is_not_there_or_is_anothers_is_refused, two_gpus) {
  BOOST_CHECK(are<lease_refusal>(core.adopt(request_of(1, {10, 1}), {{2, 10}}, t0)));
  BOOST_CHECK(are<lease_refusal>(core.adopt(request_of(1, {101, 1}), {{0, 101}}, t0)));
  BOOST_CHECK(are<lease_refusal>(core.adopt(request_of(1, {10, 1}), {}, t0)));
  core.adopt(request_of(1, {60, 1}), {{0, 60}}, t0);
  BOOST_CHECK(are<lease_refusal>(core.adopt(request_of(2, {60, 1}), {{0, 60}}, t0)));
}

BOOST_FIXTURE_TEST_CASE(a_holder_that_has_a_lease_adopts_no_other, two_gpus) {
  core.adopt(request_of(1, {60, 1}), {{0, 60}}, t0);
  BOOST_CHECK(core.adopt(request_of(1, {60, 1}), {{1, 60}}, t0).empty());
  BOOST_CHECK_EQUAL(core.leases().size(), 1);
}

BOOST_FIXTURE_TEST_CASE(an_adopted_lease_is_given_back_as_any_other, two_gpus) {
  core.adopt(request_of(1, {100, 1}), {{0, 100}}, t0);
  core.acquire(request_of(2, {100, 2}), t0);
  BOOST_CHECK(are<lease_grant>(core.release(1, 1001, t0)));
}

BOOST_AUTO_TEST_SUITE_END()
