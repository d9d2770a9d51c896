#include "actors/gpu_lease_actor.hpp"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <functional>
#include <mutex>
#include <sstream>

#include "tests/actors/support.hpp"

namespace signalbox::test {
BOOST_AUTO_TEST_SUITE(gpu_lease_tests)
namespace {

// Writes down what the pool tells it.
struct holder {
  holder_id id = 0;
  journal log;
  lease_holder_actor actor;

  explicit holder(caf::actor_system& system)
      : actor(system.spawn([this]() -> lease_holder_actor::behavior_type {
          return {
              [this](const holder_registered& m) { id = m.holder; },
              [this](const lease_granted& m) {
                log.push_back(fmt::format("granted {} gpu {}", m.token, indexes_of(m.gpus)));
              },
              [this](const lease_refused& m) {
                log.push_back(fmt::format("refused {}", to_string(m.why)));
              },
              [this](const lease_asked_back& m) {
                log.push_back(fmt::format("asked back {}", m.token));
              },
          };
        })) {}
};

struct fixture {
  fixture() {
    introduce("red", holder_kind::model, red);
    introduce("blue", holder_kind::model, blue);
  }

  ~fixture() { kill(leases); }

  template <class Actor>
  void kill(const Actor& actor) {
    caf::anon_send_exit(actor, caf::exit_reason::kill);
    system.run();
  }

  template <class... Message>
  void send(const Message&... message) {
    caf::anon_send(leases, message...);
    system.run();
  }

  void introduce(const std::string& name, holder_kind kind, const holder& who) {
    send(register_holder{name, kind}, who.actor);
  }

  void acquire(const holder& who, scheduling::gpu_need need = {16 * config::gib, 1}) {
    scheduling::lease_request r;
    r.holder = who.id;
    r.need = need;
    send(acquire_lease{r});
  }

  void report(const holder& who, std::uint32_t waiting, std::uint32_t in_use) {
    scheduling::holder_demand d;
    d.of(work_class::realtime) = {waiting, in_use, waiting > 0 ? system.now() : never,
                                  system.now()};
    send(demand_reported{who.id, d});
  }

  bool has_metric(const std::string& line) const {
    return recorder.render().find(line + "\n") != std::string::npos;
  }

  simulated_system system;
  config::settings settings = two_models();
  metrics recorder{settings.gpus.size(), 1};
  status_board board;
  std::uint32_t epoch = 0;
  gpu_lease_actor leases =
      spawn_gpu_lease(*system, settings, recorder, board, [this] { return epoch; });
  holder red{*system}, blue{*system};
};

// Does what the test says at each line of the log, in the middle of what the pool does.
class each_line : public spdlog::sinks::base_sink<std::mutex> {
 public:
  explicit each_line(std::function<void()> act) : act_(std::move(act)) {}

 private:
  void sink_it_(const spdlog::details::log_msg&) override { act_(); }
  void flush_() override {}

  std::function<void()> act_;
};

// Gives the log to a sink while it lives.
struct log_detour {
  explicit log_detour(spdlog::sink_ptr sink) {
    spdlog::set_default_logger(std::make_shared<spdlog::logger>("detour", std::move(sink)));
  }
  ~log_detour() { spdlog::set_default_logger(before); }

  std::shared_ptr<spdlog::logger> before = spdlog::default_logger();
};

// Collects the log while it lives.
struct log_ear {
  bool heard(const std::string& part) const { return text.str().find(part) != std::string::npos; }

  std::ostringstream text;
  log_detour detour{std::make_shared<spdlog::sinks::ostream_sink_mt>(text)};
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(the_board_is_told_before_anybody_feels_it, fixture) {
  std::vector<std::size_t> leases_at_line;
  std::vector<bool> asked_back_at_line;
  const log_detour detour(std::make_shared<each_line>([&] {
    const auto all = board.snapshot()->leases;
    leases_at_line.push_back(all.size());
    asked_back_at_line.push_back(!all.empty() && all.begin()->second.asked_back);
  }));
  acquire(red);
  BOOST_TEST(leases_at_line == std::vector<std::size_t>{1}, boost::test_tools::per_element());
  acquire(blue);
  system.advance(6s, 100ms);  // min_residency_s
  BOOST_TEST(asked_back_at_line == (std::vector<bool>{false, true}),
             boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(room_goes_from_the_idle_to_who_asks, fixture) {
  acquire(red);
  BOOST_TEST(red.log == journal{"granted 1 gpu 0"}, boost::test_tools::per_element());
  BOOST_TEST(has_metric("signalbox_lease_holders{gpu=\"0\"} 1"));
  BOOST_TEST(has_metric("signalbox_lease_bytes{gpu=\"0\"} 17179869184"));
  report(red, 0, 1);
  report(red, 0, 0);
  acquire(blue);
  report(blue, 1, 0);
  system.advance(6s, 100ms);  // min_residency_s
  BOOST_TEST(red.log.back() == "asked back 1");
  BOOST_TEST(blue.log.empty());  // red still runs
  BOOST_TEST(has_metric("signalbox_swaps_total 1"));
  send(release_lease{red.id, 1});
  BOOST_TEST(blue.log == journal{"granted 2 gpu 0"}, boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(nothing_is_granted_while_grants_are_held, fixture) {
  send(hold_grants{});
  acquire(red);
  acquire(blue);
  send(withdraw_acquire{blue.id});
  BOOST_TEST(red.log.empty());
  send(resume_grants{});
  BOOST_TEST(red.log == journal{"granted 1 gpu 0"}, boost::test_tools::per_element());
  BOOST_TEST(blue.log.empty());
}

BOOST_FIXTURE_TEST_CASE(what_is_adopted_while_grants_are_held_is_not_granted_again, fixture) {
  send(hold_grants{});
  acquire(blue);
  scheduling::lease_request r;
  r.holder = red.id;
  r.need = {16 * config::gib, 1};
  send(adopt_lease{r, {{0, 16 * config::gib}}});
  BOOST_TEST(red.log == journal{"granted 1 gpu 0"}, boost::test_tools::per_element());
  send(resume_grants{});
  BOOST_TEST(blue.log.empty());
  send(release_lease{red.id, 1});
  BOOST_TEST(blue.log == journal{"granted 2 gpu 0"}, boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(the_board_has_the_leases, fixture) {
  acquire(red);
  const auto held = board.snapshot();
  const auto& lease = held->leases.at(1);
  BOOST_TEST(lease.holder == "red");
  BOOST_TEST((lease.gpus == scheduling::gpu_set{{0, 16 * config::gib}}));
  BOOST_TEST(!lease.asked_back);
  BOOST_TEST(held->gpus.at(0).bytes == 24 * config::gib);
  BOOST_TEST(held->gpus.at(0).used == 16 * config::gib);
  report(red, 0, 0);
  BOOST_TEST((board.snapshot() == held));
  acquire(blue);
  system.advance(6s, 100ms);  // min_residency_s
  BOOST_TEST(board.snapshot()->leases.at(1).asked_back);
  caf::anon_send_exit(leases, caf::exit_reason::kill);
  leases = spawn_gpu_lease(*system, settings, recorder, board, [this] { return epoch; });
  system.run();
  BOOST_TEST(board.snapshot()->leases.empty());
  BOOST_TEST(board.snapshot()->gpus.at(0).used == 0u);
}

BOOST_FIXTURE_TEST_CASE(a_release_under_an_older_token_is_ignored, fixture) {
  acquire(red);
  send(release_lease{red.id, 77});
  BOOST_TEST(has_metric("signalbox_lease_holders{gpu=\"0\"} 1"));
}

BOOST_FIXTURE_TEST_CASE(the_end_of_a_holder_ends_its_lease_and_its_request, fixture) {
  holder third(*system);
  introduce("third", holder_kind::model, third);
  acquire(red);
  acquire(blue);
  acquire(third);
  kill(blue.actor);
  BOOST_TEST(blue.log.empty());
  BOOST_TEST(third.log.empty());
  kill(red.actor);
  BOOST_TEST(third.log == journal{"granted 2 gpu 0"}, boost::test_tools::per_element());
  kill(third.actor);
  BOOST_TEST(has_metric("signalbox_lease_holders{gpu=\"0\"} 0"));
}

BOOST_FIXTURE_TEST_CASE(numbers_are_above_0_and_never_given_twice, fixture) {
  BOOST_TEST(red.id == 1u);
  BOOST_TEST(blue.id == 2u);
  introduce("red", holder_kind::model, red);
  BOOST_TEST(red.id == 1u);
  kill(blue.actor);
  holder again(*system);
  introduce("blue", holder_kind::model, again);
  BOOST_TEST(again.id == 3u);
  report(blue, 7, 7);  // its queue has not heard yet
  acquire(blue);
  acquire(again);
  BOOST_TEST(again.log == journal{"granted 1 gpu 0"}, boost::test_tools::per_element());
}

// Holders that no entry of the configuration stands for, whatever their numbers.
BOOST_FIXTURE_TEST_CASE(training_and_outside_programs_hold_leases_beside_models, fixture) {
  const log_ear ear;
  holder run(*system), notebook(*system);
  introduce("run-7", holder_kind::training, run);
  introduce("notebook", holder_kind::outside, notebook);
  BOOST_REQUIRE_GE(run.id, settings.models.size());
  acquire(run, scheduling::whole_machine);
  BOOST_TEST(run.log == journal{"granted 1 gpu 0"}, boost::test_tools::per_element());
  acquire(red);
  system.advance(6s, 100ms);  // min_residency_s
  BOOST_TEST(run.log.back() == "asked back 1");
  send(release_lease{run.id, 1});
  BOOST_TEST(red.log == journal{"granted 2 gpu 0"}, boost::test_tools::per_element());
  acquire(notebook, {8 * config::gib, 1});
  BOOST_TEST(notebook.log == journal{"granted 3 gpu 0"}, boost::test_tools::per_element());
  acquire(run, {25 * config::gib, 1});
  BOOST_TEST(run.log.back() == "refused does_not_fit");
  acquire(blue, {20 * config::gib, 1});
  system.advance(6s, 100ms);
  BOOST_TEST(red.log.back() == "asked back 2");
  BOOST_TEST(notebook.log.back() == "asked back 3");
  kill(notebook.actor);
  kill(run.actor);  // it waits for nothing, and has nothing
  send(release_lease{red.id, 2});
  BOOST_TEST(blue.log == journal{"granted 4 gpu 0"}, boost::test_tools::per_element());
  for (const auto* line :
       {"gpu 0: lease 1 granted to training run-7 (rule room), 24576 of 24576 MiB taken",
        "lease 1 of training run-7 asked back for model red (rule evict)",
        "lease 3 granted to outside notebook", "lease refused to training run-7: does_not_fit",
        "lease 3 of outside notebook asked back for model blue",
        "outside notebook ended without giving its lease back", "lease 4 granted to model blue"}) {
    BOOST_TEST(ear.heard(line), line);
  }
}

BOOST_FIXTURE_TEST_CASE(tokens_of_a_later_pool_are_greater, fixture) {
  acquire(red);
  for (fencing_token number : {7, 9}) {
    kill(leases);
    epoch = static_cast<std::uint32_t>(number);
    leases = spawn_gpu_lease(*system, settings, recorder, board, [this] { return epoch; });
    introduce("red", holder_kind::model, red);
    acquire(red);
    BOOST_TEST(red.log.back() == fmt::format("granted {} gpu 0", (number << 32) + 1));
  }
}

BOOST_FIXTURE_TEST_CASE(who_is_not_registered_gets_nothing, fixture) {
  send(acquire_lease{{77, {1, 1}}});
  BOOST_TEST(has_metric("signalbox_lease_holders{gpu=\"0\"} 0"));
  acquire(red);
  BOOST_TEST(red.log == journal{"granted 1 gpu 0"}, boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(a_request_that_was_withdrawn_is_not_granted, fixture) {
  acquire(red);
  acquire(blue);
  caf::anon_send(leases, withdraw_acquire{blue.id});
  send(release_lease{red.id, 1});
  BOOST_TEST(blue.log.empty());
}

BOOST_FIXTURE_TEST_CASE(what_never_fits_is_refused, fixture) {
  acquire(red, {25 * config::gib, 1});
  BOOST_TEST(red.log == journal{"refused does_not_fit"}, boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(who_waited_long_enough_gets_its_turn_without_another_message, fixture) {
  acquire(red);
  report(red, 5, 2);
  acquire(blue);
  report(blue, 1, 0);
  system.advance(29s, 100ms);
  BOOST_TEST(red.log.size() == 1u);
  system.advance(2s, 100ms);  // max_swap_wait_s is over: rule evict (b), by a tick
  BOOST_TEST(red.log.back() == "asked back 1");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::test
