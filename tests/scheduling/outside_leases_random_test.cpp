// Random events against the rules of outside_leases: each lease ends once, memory is taken and
// returned once, a grant is told only when the file has it, and no stale token renews.
#include <boost/test/unit_test.hpp>

#include <map>
#include <random>
#include <set>

#include "scheduling/outside_leases.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(outside_leases_random)

namespace {

// The world around the core: a pool, a disk that fails at times, processes, and clients.
class world {
 public:
  explicit world(std::uint32_t seed) : random_(seed) {
    options_.max_leases = 12;
    options_.max_leases_of_key = 8;
    core_.emplace(options_);
  }

  void step() {
    now_ += std::chrono::milliseconds(pick(4000));
    switch (pick(12)) {
      case 0:
      case 1:
        return submit();
      case 2:
        return renew();
      case 3:
        return release();
      case 4:
        return ask();
      case 5:
      case 6:
        return grant();
      case 7:
        return write();
      case 8:
        return ask_back();
      case 9:
        return kill();
      case 10:
        if (pick(40) == 0) restart();
        return;
      default:
        return carry_out(core_->advance(now_));
    }
  }

  // All that is left ends by itself, within a bound.
  void finish() {
    dead_ = processes_;
    for (int i = 0; i < 2000 && ended_.size() + lost_.size() < submitted_.size(); ++i) {
      now_ = std::max(now_, std::min(core_->next_deadline(), now_ + 10s));
      carry_out(core_->advance(now_));
      write(true);
    }
    BOOST_CHECK_EQUAL(ended_.size() + lost_.size(), submitted_.size());
    BOOST_CHECK(held_.empty());
  }

 private:
  std::uint32_t pick(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

  std::string any_id() {
    return submitted_.empty() ? "" : "l" + std::to_string(pick(submitted_.size()));
  }

  void submit() {
    outside_request r;
    r.id = "l" + std::to_string(submitted_.size());
    r.key_id = "key" + std::to_string(pick(2));
    r.ttl = 5s + std::chrono::seconds(pick(20));
    if (pick(2) == 0) {
      r.process = process_mark{static_cast<std::int64_t>(submitted_.size()), 1};
      processes_.insert(r.id);
    }
    const auto answer = core_->submit(r, now_ + std::chrono::seconds(pick(10)), now_);
    if (answer.verdict != outside_verdict::done) return;
    submitted_.emplace(r.id, r);
    carry_out(answer.effects);
  }

  lease_viewer viewer_of(const std::string& id) {
    if (pick(4) == 0) return {"stranger"};
    const auto found = submitted_.find(id);
    return {found == submitted_.end() ? "" : found->second.key_id};
  }

  void renew() {
    const auto id = any_id();
    const auto before = core_->find(id);
    const auto who = viewer_of(id);
    const fencing_token token = pick(3) == 0 ? pick(20) : told_[id];
    const auto answer = core_->renew(id, who, token, now_);
    if (answer.verdict == outside_verdict::done) {
      BOOST_REQUIRE(token == told_[id] && token != 0);
      BOOST_REQUIRE(who.key_id == before->request.key_id);
      BOOST_REQUIRE(before->state == outside_state::granted);
      BOOST_REQUIRE(now_ < before->expires_at && now_ < before->yield_by);
      BOOST_REQUIRE(held_.contains(id) && !ended_.contains(id));
    }
    carry_out(answer.effects);
  }

  void release() {
    const auto id = any_id();
    carry_out(core_->release(id, viewer_of(id), now_).effects);
  }

  void ask() {
    const auto id = any_id();
    carry_out(core_->ask(id, viewer_of(id), now_ + 3s, now_).effects);
  }

  void grant() {
    if (wanted_.empty()) return;
    const auto id = *std::next(wanted_.begin(), pick(wanted_.size()));
    wanted_.erase(id);
    if (pick(10) == 0) return carry_out(core_->memory_refused(id, now_));
    held_.insert(id);
    carry_out(core_->memory_granted(id, ++last_token_, {{pick(4), 1}}, now_));
  }

  void write(bool works = false) {
    if (!saving_) return;
    const auto change = *std::exchange(saving_, std::nullopt);
    const bool is_durable = works || pick(5) != 0;
    if (is_durable) file_ = written_;
    carry_out(core_->saved(change, is_durable, now_));
  }

  void ask_back() {
    if (!held_.empty())
      carry_out(core_->asked_back(*std::next(held_.begin(), pick(held_.size())), now_));
  }

  void kill() {
    if (!processes_.empty()) dead_.insert(*std::next(processes_.begin(), pick(processes_.size())));
  }

  // Like kill -9: what the file does not have is lost, and it was never told.
  void restart() {
    saving_.reset();
    core_.emplace(options_);
    std::set<std::string> kept;
    for (const auto& record : file_) kept.insert(record.request.id);
    for (const auto& [id, request] : submitted_) {
      if (ended_.contains(id) || kept.contains(id)) continue;
      lost_.insert(id);
    }
    for (const auto& id : held_) {  // what was told is in the file until its memory went back
      if (told_[id] != 0 && !ended_.contains(id) && !over_.contains(id))
        BOOST_REQUIRE(kept.contains(id));
    }
    wanted_.clear();
    held_.clear();
    for (const auto& id : kept) ended_.erase(id);  // a disk that failed had not forgotten it
    last_token_ += 1000;
    carry_out(core_->restore(file_, now_));
  }

  void carry_out(const outside_effects& effects) {
    for (const auto& effect : effects) std::visit([this](const auto& e) { on(e); }, effect);
    check();
  }

  void on(const request_memory& e) { BOOST_REQUIRE(wanted_.insert(e.id).second); }
  void on(const adopt_memory& e) { BOOST_REQUIRE(held_.insert(e.id).second); }
  void on(const withdraw_request& e) { BOOST_REQUIRE_EQUAL(wanted_.erase(e.id), 1); }
  void on(const return_memory& e) {
    BOOST_REQUIRE_EQUAL(held_.erase(e.id), 1);
    BOOST_REQUIRE(!e.is_verified || told_[e.id] == 0 || !submitted_[e.id].process ||
                  dead_.contains(e.id));
  }
  void on(const save_leases& e) {
    BOOST_REQUIRE(!saving_);
    saving_ = e.change;
    written_ = core_->records();
  }
  void on(const look_for_process& e) {
    BOOST_REQUIRE(submitted_[e.id].process);
    carry_out(core_->process_seen(e.id, dead_.contains(e.id), now_));
  }
  void on(const lease_moved& e) {
    if (core_->find(e.id)->state == outside_state::ending) over_.insert(e.id);
  }
  void on(const lease_ended& e) {
    BOOST_REQUIRE(ended_.insert(e.id).second);
    BOOST_REQUIRE(!held_.contains(e.id) && !wanted_.contains(e.id));
    BOOST_REQUIRE(!lost_.contains(e.id));
  }

  // What clients can see now.
  void check() {
    std::set<std::string> kept;
    for (const auto& record : file_) kept.insert(record.request.id);
    for (const auto& view : core_->list({"", true, true})) {
      const auto& id = view.request.id;
      if (view.token == 0) continue;
      told_[id] = view.token;
      if (view.state == outside_state::granted) BOOST_REQUIRE(kept.contains(id));
    }
  }

  std::mt19937 random_;
  outside_options options_;
  std::optional<outside_leases> core_;
  time_point now_{1h};
  fencing_token last_token_ = 0;
  std::map<std::string, outside_request> submitted_;
  std::map<std::string, fencing_token> told_;
  std::set<std::string> wanted_, held_, ended_, over_, lost_, processes_, dead_;
  std::optional<std::uint64_t> saving_;
  std::vector<outside_record> written_, file_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(every_lease_ends_once_and_no_grant_is_told_before_the_file_has_it) {
  for (std::uint32_t seed = 1; seed <= 50; ++seed) {
    BOOST_TEST_CONTEXT("seed " << seed) {
      world w(seed);
      for (int i = 0; i < 2000; ++i) w.step();
      w.finish();
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
