// Tests that the admission gate learns of models at their first request and forgets removed ones.
#include <boost/test/unit_test.hpp>

#include "http/proxy/admission_gate.hpp"

using namespace signalbox;
using namespace signalbox::http;

namespace {

struct leaving_holder final : ticket_holder {
  void ticket_granted(permit p) override { held = std::move(p); }
  void ticket_refused(const signalbox::ticket_refused& why) override { refused.push_back(why.why); }
  void ticket_placed(std::uint32_t, double) override {}

  permit held;
  std::vector<refusal> refused;
};

struct gate_models_fixture {
  endpoint_ptr endpoint = [] {
    auto made = std::make_shared<backend_endpoint>();
    made->backend = 5;
    return made;
  }();
  std::vector<std::pair<model_index, shard_batch>> sent;
  admission_gate gate{0,
                      {},
                      [this](model_index model, shard_batch b) { sent.emplace_back(model, b); },
                      [] {},
                      [] { return time_point{}; }};
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(gate_models, gate_models_fixture)

BOOST_AUTO_TEST_CASE(a_model_is_known_when_it_is_first_asked_for) {
  BOOST_TEST(!gate.take({.model = 700}, {}).has_value());
  BOOST_TEST(gate.in_use(900) == 0u);
  leaving_holder h;
  gate.wait({.model = 700}, never, h);
  gate.flush();
  BOOST_REQUIRE_EQUAL(sent.size(), 1u);
  BOOST_TEST(sent[0].first == 700u);
}

BOOST_AUTO_TEST_CASE(what_waits_for_a_model_that_is_gone_is_refused_and_nothing_is_sent) {
  leaving_holder h;
  gate.wait({.model = 3}, never, h);
  gate.handle(model_gone{3});
  gate.flush_reports();
  BOOST_TEST((h.refused == std::vector{refusal::model_removed}));
  BOOST_TEST(sent.empty());
  BOOST_TEST(gate.waiting() == 0u);
}

// The gate's report after the last permit finds no queue, so the shard gives the gate a second
// model_gone.
BOOST_AUTO_TEST_CASE(a_permit_may_outlive_its_model) {
  gate.handle(credits_given{3, 1, endpoint});
  {
    auto held = gate.take({.model = 3}, {});
    BOOST_REQUIRE(held.has_value());
    gate.handle(model_gone{3});
    BOOST_TEST(gate.in_use(3) == 1u);
  }
  BOOST_TEST(gate.in_use(3) == 0u);
  gate.flush_reports();
  BOOST_TEST(sent.size() == 1u);
  gate.handle(model_gone{3});
  gate.flush_reports();
  BOOST_TEST(sent.size() == 1u);
  BOOST_TEST(!gate.take({.model = 3}, {}).has_value());
}

BOOST_AUTO_TEST_SUITE_END()
