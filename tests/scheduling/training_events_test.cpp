// A trainer, a lease pool, requests, a person and gateways that die, at random from a seed, against
// the invariants of scheduling/training.hpp.
#include <boost/test/unit_test.hpp>
#include <deque>
#include <memory>
#include <random>

#include "tests/scheduling/training_scene.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(training_events)

namespace {

constexpr int by_hand_codes[] = {0, 130, 137, 143};

class training_world {
 public:
  explicit training_world(std::uint64_t seed) : random_(seed) {
    options_ = quick_training();
    options_.yields_to_requests = chance(80);
    options_.checkpoint_wait = chance(50) ? duration(15s) : duration(0s);
    begin_life();
  }

  void run() {
    for (int i = 0; i < 400; ++i) {
      now_ += std::chrono::milliseconds(below(chance(10) ? 200'000 : 4'000));
      happens();
      check();
    }
    comes_to_rest();
  }

 private:
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
  bool chance(std::uint32_t percent) { return below(100) < percent; }

  // What a gateway that was killed leaves: the trainer, if it is a container, and the selection.
  void begin_life() {
    core_ = std::make_unique<training>(options_, persisted_, now_);
    sights_.clear();
    carried_out_ = 0;
    asked_ = has_started_ = false;
    held_ = 0;
    requests_ = 0;
  }

  void happens() {
    switch (below(16)) {
      case 0:
        apply(core_->select(chance(50) ? "a" : "b", now_));
        stopped_by_hand_ = false;
        break;
      case 1:
        if (chance(30)) apply(core_->clear(now_));
        break;
      case 2:
        if (chance(30)) order();
        break;
      case 3:
      case 4:
        requests_ = chance(60) ? 0 : below(3);
        apply(core_->requests_changed(requests_, now_));
        break;
      case 5:
      case 6:
        grant();
        break;
      case 7:
        if (held_ != 0 && chance(30)) apply(core_->lease_asked_back(held_, now_));
        break;
      case 8:
        if (chance(30)) a_person_acts();
        break;
      case 9:
        trainer_acts();
        break;
      case 10:
        if (chance(5)) begin_life();
        break;
      case 11:
        read_status();
        break;
      case 12:
      case 13:
        look();
        break;
      default:
        deliver();
    }
    apply(core_->advance(now_));
  }

  void order() {
    if (chance(50)) {
      stopped_by_hand_ = false;
      apply(core_->start(now_));
    } else {
      apply(core_->stop(now_));
    }
  }

  void grant() {
    if (!asked_) return;
    asked_ = false;
    if (chance(5)) return apply(core_->lease_refused(now_));
    held_ = ++last_token_;
    apply(core_->lease_granted(held_, {{0, 16}}, now_));
  }

  void a_person_acts() {
    if (runs_) return ends(by_hand_codes[below(4)], false);
    runs_ = true;
  }

  void trainer_acts() {
    if (!runs_) return;
    if (chance(10)) ends(chance(50) ? 1 : 137, chance(50));
    if (chance(60)) time_ += 1;
    word_ = chance(2) ? training_word::finished : training_word::training;
  }

  void ends(int code, bool oom) {
    runs_ = false;
    exit_code_ = code;
    oom_ = oom;
  }

  void read_status() {
    const auto word = chance(20) ? training_word::unreadable : word_;
    apply(core_->status_read({core_->watched(), word, time_}, now_));
  }

  void look() {
    const auto state = runs_       ? trainer_state::running
                       : chance(3) ? trainer_state::missing
                                   : trainer_state::exited;
    sights_.push_back({carried_out_, state, exit_code_, oom_});
  }

  // The outcome of looks comes later, in order.
  void deliver() {
    if (sights_.empty()) return;
    const auto sight = sights_.front();
    sights_.pop_front();
    if (sight.order == core_->order()) expect(sight);
    apply(core_->trainer_seen(sight, now_));
  }

  // The rule by_hand, told by the world instead of the core.
  void expect(const trainer_sight& sight) {
    const auto phase = core_->phase();
    const bool was_up = phase == training_phase::starting || phase == training_phase::running ||
                        phase == training_phase::adopting;
    const bool by_hand =
        sight.state == trainer_state::exited && !sight.out_of_memory &&
        std::count(std::begin(by_hand_codes), std::end(by_hand_codes), sight.exit_code) > 0;
    if (sight.state == trainer_state::running) {
      if (!was_up) stopped_by_hand_ = false;  // started by hand
    } else {
      has_started_ = false;
      if (was_up && by_hand) stopped_by_hand_ = true;
    }
    ended_ = sight.state != trainer_state::running;
  }

  void apply(const training_effects& effects) {
    for (const auto& effect : effects) {
      std::visit([this](const auto& e) { carry_out(e); }, effect);
    }
  }

  void carry_out(const persist_selection& e) { persisted_ = e.selection; }
  void carry_out(const ask_for_lease&) {
    BOOST_REQUIRE(!asked_);
    BOOST_REQUIRE_EQUAL(held_, 0u);
    asked_ = true;
  }
  void carry_out(const stop_asking&) {
    BOOST_REQUIRE(asked_);
    asked_ = false;
  }
  void carry_out(const give_lease_back& e) {
    BOOST_REQUIRE_EQUAL(e.token, held_);
    BOOST_REQUIRE(ended_ || !start_works_);
    held_ = 0;
  }
  void carry_out(const start_trainer& e) {
    BOOST_REQUIRE(!has_started_);  // no second one without an end in between
    BOOST_REQUIRE(held_ != 0);
    BOOST_REQUIRE(!options_.yields_to_requests || requests_ == 0);
    BOOST_REQUIRE(!stopped_by_hand_);
    BOOST_REQUIRE_EQUAL(e.folder, persisted_.folder);
    BOOST_REQUIRE(!e.folder.empty());
    BOOST_REQUIRE_GT(e.order, carried_out_);
    carried_out_ = e.order;
    has_started_ = true;
    ended_ = false;
    start_works_ = chance(95);
    if (start_works_) {
      runs_ = true;
    } else {
      has_started_ = false;
      failed_order_ = e.order;
    }
  }
  void carry_out(const ask_to_save&) {
    BOOST_REQUIRE(options_.checkpoint_wait > 0s);
    if (chance(50) && runs_) {
      word_ = training_word::saved;
      time_ += 1;
    }
  }
  void carry_out(const stop_trainer& e) {
    BOOST_REQUIRE_GE(e.order, carried_out_);
    carried_out_ = e.order;
    if (runs_ && chance(80)) ends(143, false);
  }
  void carry_out(const record_training_crash& e) {
    BOOST_REQUIRE_GT(e.failures, 0u);
    BOOST_REQUIRE(e.retry_after <= options_.max_backoff);
  }

  void check() {
    if (failed_order_ != 0) apply(core_->start_failed(std::exchange(failed_order_, 0), now_));
    BOOST_REQUIRE(persisted_ == core_->selection());
    BOOST_REQUIRE(core_->token() == held_);
    const auto phase = core_->phase();
    const bool is_ours = phase == training_phase::starting || phase == training_phase::running;
    BOOST_REQUIRE(!is_ours || held_ != 0);  // it never runs without a lease
    BOOST_REQUIRE(!is_ours || !options_.yields_to_requests || requests_ == 0);
    BOOST_REQUIRE(phase != training_phase::idle || !asked_);
    const bool has_a_way_on = phase == training_phase::idle || phase == training_phase::running ||
                              phase == training_phase::unknown || asked_ || requests_ > 0 ||
                              core_->next_deadline() != never;
    BOOST_REQUIRE(has_a_way_on);
  }

  // Every wait has an end: without requests, crashes and people it soon runs, or is not wanted.
  void comes_to_rest() {
    requests_ = 0;
    word_ = training_word::training;
    apply(core_->requests_changed(0, now_));
    const auto begin = now_;
    for (int i = 0; i < 200 && !is_at_rest(); ++i) {
      grant();
      check();
      look();
      while (!sights_.empty()) deliver();
      if (core_->next_deadline() != never) now_ = std::max(now_, core_->next_deadline());
      apply(core_->advance(now_));
      check();
    }
    BOOST_REQUIRE_MESSAGE(is_at_rest(), "still " << to_string(core_->phase()));
    BOOST_REQUIRE(now_ - begin < 2h);
    BOOST_REQUIRE_EQUAL(runs_, core_->phase() == training_phase::running);
  }

  bool is_at_rest() const {
    const bool is_wanted = !persisted_.folder.empty() && !persisted_.is_held;
    const bool is_so =
        core_->phase() == (is_wanted ? training_phase::running : training_phase::idle);
    return is_so && runs_ == is_wanted;
  }

  std::mt19937_64 random_;
  training_options options_;
  time_point now_ = training_begins;
  std::unique_ptr<training> core_;

  training_selection persisted_;
  std::deque<trainer_sight> sights_;
  std::uint64_t carried_out_ = 0;
  std::uint64_t failed_order_ = 0;
  bool asked_ = false;
  bool has_started_ = false;  // by us, and not seen to have ended
  bool ended_ = false;        // when the core last heard of it
  bool start_works_ = true;
  bool stopped_by_hand_ = false;
  fencing_token held_ = 0, last_token_ = 0;
  std::uint32_t requests_ = 0;

  bool runs_ = false;
  int exit_code_ = 0;
  bool oom_ = false;
  training_word word_ = training_word::training;
  double time_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_CASE(its_invariants_hold) {
  for (std::uint64_t seed = 1; seed <= 2000; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      training_world(seed).run();
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
