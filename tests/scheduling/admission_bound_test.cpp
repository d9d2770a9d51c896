// The bound of "Fairness in Serving Large Language Models" (Sheng et al., OSDI 2024), over random
// arrivals.
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <map>
#include <random>
#include <utility>
#include <vector>

#include "tests/scheduling/effects.hpp"
#include "tests/scheduling/single_backend.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;
using namespace signalbox::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(admission_bound)

namespace {

constexpr token_weights weights;

// Clients that ask now and then, a server that makes one token a millisecond for each request, and
// the service of each client as the paper measures it: a prompt as it begins, each token as it is
// made. In every other world all that runs is preempted now and then, and was no service. After
// every event the bound is checked for each pair of clients that both wait.
class random_world {
 public:
  explicit random_world(std::uint64_t seed)
      : random_(seed),
        preempts_(seed % 2 == 0),
        units_(1 + below(8)),
        guess_(static_cast<guess>(below(4))),
        queue_({.max_concurrent = units_,
                .max_waiting = 100000,
                .max_starvation = std::chrono::milliseconds(100 + below(60000))}) {
    clients_.resize(2 + below(5));
    for (auto& c : clients_) {
      c.weight = below(2) == 0 ? 1 : 0.25 * (1 + below(16));
      c.longest_prompt = 1 + below(2000);
      c.longest_answer = 1 + below(below(2) == 0 ? 50 : 1000);
    }
    waiting_since_.resize(clients_.size() * clients_.size());
    queue_.open(now_);
  }

  void run(int requests) {
    while (begun_ < requests) {
      if (preempts_ && below(100) == 0) preempt();
      for (std::uint32_t i = 0; i < clients_.size(); ++i) demand(i);
      now_ = running_.empty() ? now_ + 100ms : std::min(running_.begin()->first, now_ + 100ms);
      while (!running_.empty() && running_.begin()->first <= now_) end_first();
      check();
    }
  }

  double worst() const { return worst_; }  // of all pairs, as a share of their bound
  int pairs() const { return pairs_; }
  std::size_t preempted() const { return preempted_; }

 private:
  enum class guess { exact, nothing, mean, wild };
  enum class mood { idle, trickle, backlog };
  struct request {
    std::uint32_t client;
    double prompt, answer, estimate;
    time_point begun{};
    service_charge charge{};
    queue_place place{};
  };
  struct client {
    double weight;
    std::uint64_t longest_prompt, longest_answer;
    mood now = mood::idle;
    time_point until{};
    int waiting = 0;
    double served = 0;  // of requests that ended
  };
  struct pair_range {
    bool both_wait = false;
    double least = 0, most = 0;
  };

  std::uint32_t below(std::uint64_t n) { return static_cast<std::uint32_t>(random_() % n); }

  double estimate_of(const request& r, const client& c) {
    switch (guess_) {
      case guess::exact:
        return weights.cost(r.prompt, r.answer);
      case guess::nothing:
        return 0;
      case guess::mean:
        return weights.cost(r.prompt, static_cast<double>(c.longest_answer) / 2);
      default:
        return weights.cost(below(c.longest_prompt + 1), below(c.longest_answer + 1));
    }
  }

  void demand(std::uint32_t i) {
    auto& c = clients_[i];
    if (now_ >= c.until) {
      c.now = static_cast<mood>(below(3));
      c.until = now_ + std::chrono::milliseconds(below(200000));
    }
    const int wanted = c.now == mood::idle ? 0 : c.now == mood::trickle ? below(30) == 0 : 5;
    while (c.waiting < wanted) {
      request r{i, 1.0 + below(c.longest_prompt), 1.0 + below(c.longest_answer), 0};
      r.estimate = estimate_of(r, c);
      if (below(20) == 0) left_.push_back(last_id_ + 1);
      submit(r, std::nullopt);
    }
    for (const auto id : std::exchange(left_, {})) {
      const auto found = requests_.find(id);
      if (found == requests_.end()) continue;
      --clients_[found->second.client].waiting;
      requests_.erase(found);
      begin(queue_.cancel(id, now_));
    }
  }

  void submit(const request& r, const std::optional<queue_place>& place) {
    auto& c = clients_[r.client];
    const ticket t{.id = ++last_id_,
                   .principal = r.client + 1,
                   .weight = c.weight,
                   .estimate = r.estimate,
                   .place = place};
    requests_.emplace(t.id, r);
    ++c.waiting;
    begin(queue_.submit(t, now_));
  }

  // Everything that runs waits again, in any order, and only then are units free.
  void preempt() {
    std::vector<request> all;
    for (const auto& [end, r] : std::exchange(running_, {})) all.push_back(r);
    std::shuffle(all.begin(), all.end(), random_);
    for (const auto& r : all) {
      in_flight_ -= tokens(r);
      queue_.count_service({.principal = r.charge.principal,
                            .weight = r.charge.weight,
                            .ended = 1,
                            .corrected = -r.charge.cost},
                           now_);
      submit(r, r.place);
    }
    check();
    begin(queue_.give_back(0, static_cast<std::uint32_t>(all.size()), now_));
    preempted_ += all.size();
  }

  void begin(const admission_effects& effects) {
    for (const auto& grant : all<grant_permit>(effects)) {
      auto r = requests_.extract(grant.id).mapped();
      --clients_[r.client].waiting;
      r.begun = now_;
      r.charge = grant.charge;
      r.place = grant.place;
      in_flight_ += tokens(r);
      most_in_flight_ = std::max(most_in_flight_, in_flight_);
      longest_prompt_ = std::max(longest_prompt_, r.prompt);
      running_.emplace(now_ + std::chrono::milliseconds(static_cast<int>(r.answer)), r);
      ++begun_;
    }
  }

  void end_first() {
    const auto r = running_.extract(running_.begin()).mapped();
    const auto cost = weights.cost(r.prompt, r.answer);
    clients_[r.client].served += cost;
    in_flight_ -= tokens(r);
    queue_.count_service({.principal = r.charge.principal,
                          .weight = r.charge.weight,
                          .ended = 1,
                          .corrected = cost - r.charge.cost},
                         now_);
    begin(queue_.give_back(0, 1, now_));
  }

  // The bound counts the tokens of the estimate where these are more than the real ones.
  static double tokens(const request& r) {
    return std::max(r.prompt + r.answer, r.estimate / weights.completion);
  }

  double served(std::uint32_t i) const {
    double sum = clients_[i].served;
    for (const auto& [end, r] : running_) {
      if (r.client != i) continue;
      const auto made = std::chrono::duration<double, std::milli>(now_ - r.begun).count();
      sum += weights.prompt * r.prompt + weights.completion * made;
    }
    return sum / clients_[i].weight;
  }

  void check() {
    const auto half =
        std::max(weights.prompt * longest_prompt_, weights.completion * most_in_flight_);
    std::vector<double> service;
    for (std::uint32_t i = 0; i < clients_.size(); ++i) service.push_back(served(i));
    for (std::size_t f = 0; f < clients_.size(); ++f) {
      for (std::size_t g = f + 1; g < clients_.size(); ++g) {
        auto& range = waiting_since_[f * clients_.size() + g];
        const auto difference = service[f] - service[g];
        if (clients_[f].waiting == 0 || clients_[g].waiting == 0) {
          range.both_wait = false;
          continue;
        }
        if (!std::exchange(range.both_wait, true)) {
          range.least = range.most = difference;
          ++pairs_;
        }
        range.least = std::min(range.least, difference);
        range.most = std::max(range.most, difference);
        const auto bound = 2 * half / std::min(clients_[f].weight, clients_[g].weight);
        worst_ = std::max(worst_, (range.most - range.least) / bound);
      }
    }
  }

  std::mt19937_64 random_;
  bool preempts_;
  std::uint32_t units_;
  guess guess_;
  single_backend queue_;
  time_point now_{1h};
  std::vector<client> clients_;
  std::vector<pair_range> waiting_since_;
  std::map<ticket_id, request> requests_;  // that wait
  std::multimap<time_point, request> running_;
  std::vector<ticket_id> left_;
  ticket_id last_id_ = 0;
  int begun_ = 0, pairs_ = 0;
  double in_flight_ = 0, most_in_flight_ = 0, longest_prompt_ = 0;
  std::size_t preempted_ = 0;
  double worst_ = 0;
};

}  // namespace

BOOST_AUTO_TEST_CASE(service_of_two_who_wait_differs_by_no_more_than_the_bound) {
  double worst = 0;
  int pairs = 0;
  std::size_t preempted = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    random_world world(seed);
    world.run(3000);
    BOOST_CHECK_MESSAGE(world.worst() <= 1, "seed " << seed << ": " << world.worst());
    worst = std::max(worst, world.worst());
    pairs += world.pairs();
    preempted += world.preempted();
  }
  BOOST_TEST_MESSAGE(pairs << " times two waited; at most " << worst << " of the bound");
  BOOST_TEST(pairs > 1000);
  BOOST_TEST(preempted > 1000u);
  BOOST_TEST(worst > 0.1);  // a bound that nothing comes near proves nothing
}

BOOST_AUTO_TEST_SUITE_END()
