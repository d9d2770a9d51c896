// Measures the cost of one admission while a thousand and while a million tickets wait: a unit
// comes back with the service of its request, the next ticket is granted, and a new one takes its
// place at the end. Also measures the cost of cancelling (and replacing) a ticket anywhere in the
// line. Both run with one principal, and with tickets of 100,000 principals at random. Prints
// nanoseconds and the ratio.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <string_view>
#include <vector>

#include "scheduling/admission.hpp"

using namespace signalbox;
using namespace signalbox::scheduling;

namespace {

constexpr std::uint32_t operations = 200000;  // in a round
constexpr int rounds = 9;
constexpr shard_id shards = 2;

// A full model with `waiting` tickets of two shards and three priorities, with deadlines.
class scene {
 public:
  scene(std::uint32_t waiting, std::uint32_t principals)
      : principals_(principals),
        queue_({.expected_units = 16, .max_waiting = waiting + 1}),
        ids_(waiting) {
    queue_.open(backend, 16, now_);
    for (int i = 0; i < 16; ++i) keep(queue_.submit(next_ticket(), now_));
    for (auto& id : ids_) id = submit();
  }

  void grant_and_submit() {
    now_ += std::chrono::microseconds(20);
    const auto ended = running_[granted_ % running_.size()];
    queue_.count_service({.principal = ended.charge.principal,
                          .weight = ended.charge.weight,
                          .ended = 1,
                          .corrected = below(1000) - 500.0},
                         now_);
    keep(queue_.give_back(ended.shard, backend, 1, now_));
    submit();
  }

  // Cancels a ticket picked by `random` among those submitted by this function or the constructor.
  void cancel_and_submit(std::uint64_t random) {
    now_ += std::chrono::microseconds(20);
    auto& id = ids_[random % ids_.size()];
    queue_.cancel(id, now_);
    id = submit();
  }

  std::size_t granted() const { return granted_ - 16; }
  std::uint32_t waiting() const { return queue_.waiting(); }

 private:
  ticket next_ticket() {
    auto shard = static_cast<shard_id>(sequence_ % shards);
    return {.id = (ticket_id{shard} << 48) | (sequence_++ / shards),
            .shard = shard,
            .level = static_cast<priority>(sequence_ % 5 == 0 ? sequence_ / 5 % priority_count : 1),
            .deadline = now_ + std::chrono::seconds(300),
            .principal = below(principals_),
            .estimate = 500.0 + below(1000)};
  }
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_()) % n; }
  void keep(const admission_effects& effects) {
    for (const auto& effect : effects) {
      const auto* grant = std::get_if<grant_permit>(&effect);
      if (grant) running_[granted_++ % running_.size()] = *grant;
    }
  }
  ticket_id submit() {
    auto t = next_ticket();
    queue_.submit(t, now_);
    return t.id;
  }

  const std::uint32_t principals_;
  std::minstd_rand random_{1};
  static constexpr backend_id backend = 1;

  admission queue_;
  time_point now_{std::chrono::seconds(1)};
  std::uint64_t sequence_ = 0;
  std::size_t granted_ = 0;
  std::array<grant_permit, 16> running_;
  std::vector<ticket_id> ids_;
};

// Measures processor time, so that other work on the machine does not count.
template <class F>
double round_ns(F operation) {
  auto start = std::clock();
  for (std::uint32_t i = 0; i < operations; ++i) operation();
  return static_cast<double>(std::clock() - start) * 1e9 / CLOCKS_PER_SEC / operations;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

struct result {
  double admit_ns, cancel_ns;
};

result measure(std::uint32_t waiting, std::uint32_t principals) {
  std::vector<double> admit, cancel;
  scene admitting(waiting, principals), cancelling(waiting, principals);
  std::mt19937_64 random(1);
  for (int round = 0; round < rounds; ++round) {
    admit.push_back(round_ns([&] { admitting.grant_and_submit(); }));
    cancel.push_back(round_ns([&] { cancelling.cancel_and_submit(random()); }));
  }
  auto expected = std::size_t{operations} * rounds;
  if (admitting.granted() != expected || cancelling.waiting() != waiting) {
    std::cerr << "admission_bench: the scene is not steady\n";
    std::exit(1);
  }
  return {median(admit), median(cancel)};
}

}  // namespace

int main(int argc, char** argv) {
  bool json = argc == 2 && std::string_view(argv[1]) == "--json";
  if (argc > 1 && !json) {
    std::cerr << "usage: admission_bench [--json]\n";
    return 2;
  }
  const auto few = measure(1000, 1), many = measure(1000000, 1);
  const auto few_of_all = measure(1000, 100000), many_of_all = measure(1000000, 100000);
  if (json) {
    std::cout << nlohmann::json{{"admit_ns_1k", few.admit_ns},
                                {"admit_ns_1m", many.admit_ns},
                                {"admit_ratio", many.admit_ns / few.admit_ns},
                                {"cancel_ns_1k", few.cancel_ns},
                                {"cancel_ns_1m", many.cancel_ns},
                                {"cancel_ratio", many.cancel_ns / few.cancel_ns},
                                {"principals_admit_ns_1k", few_of_all.admit_ns},
                                {"principals_admit_ns_1m", many_of_all.admit_ns},
                                {"principals_admit_ratio",
                                 many_of_all.admit_ns / few_of_all.admit_ns},
                                {"principals_cancel_ns_1k", few_of_all.cancel_ns},
                                {"principals_cancel_ns_1m", many_of_all.cancel_ns}}
                     .dump(2)
              << '\n';
    return 0;
  }
  std::cout << "waiting                   1,000   1,000,000   ratio\n";
  auto line = [](const char* what, double a, double b) {
    std::printf("%-22s %6.0f ns   %6.0f ns   %5.2f\n", what, a, b, b / a);
  };
  line("admission", few.admit_ns, many.admit_ns);
  line("cancel + new ticket", few.cancel_ns, many.cancel_ns);
  std::cout << "of 100,000 principals\n";
  line("admission", few_of_all.admit_ns, many_of_all.admit_ns);
  line("cancel + new ticket", few_of_all.cancel_ns, many_of_all.cancel_ns);
}
