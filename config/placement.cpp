#include "config/placement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "config/values.hpp"

namespace signalbox::config {
namespace {

using sizes = std::vector<std::uint64_t>;

// Tries each GPU for each model from `next` on. After `steps` attempts it gives up and accepts the
// configuration: the arbiter finds out at run time what does not fit.
bool place_from(std::size_t next, const sizes& wanted, sizes& free, std::size_t& steps) {
  if (next == wanted.size() || steps == 0) return true;
  --steps;
  std::set<std::uint64_t> tried;  // GPUs with equal room need one try only
  for (std::uint64_t& room : free) {
    if (room < wanted[next] || !tried.insert(room).second) continue;
    room -= wanted[next];
    bool fits = place_from(next + 1, wanted, free, steps);
    room += wanted[next];
    if (fits) return true;
  }
  return false;
}

bool fit_together(sizes wanted, sizes gpus) {
  std::sort(wanted.rbegin(), wanted.rend());  // the largest first: a dead end shows soonest
  std::size_t steps = 100'000;
  return place_from(0, wanted, gpus, steps);
}

struct machine {
  sizes gpus;
  sizes pinned;
  bool pinned_fit = true;
};

void check_one(const model_options& m, const std::string& path, const machine& gpus,
               problem_list& problems) {
  auto complain = [&](const char* key, std::string text) {
    problems.unrelated(path + key, std::move(text), {"gpus", "models"});
  };
  std::uint64_t largest =
      gpus.gpus.empty() ? 0 : *std::max_element(gpus.gpus.begin(), gpus.gpus.end());
  if (m.gpu_memory > largest) {
    complain(".gpu.memory", largest == 0
                                ? "found a size, but gpus declares no GPU"
                                : fmt::format("found {}, allowed up to the largest GPU ({})",
                                              format_size(m.gpu_memory), format_size(largest)));
  } else if (m.residency == residency::exclusive && m.gpu_memory == 0) {
    complain(".residency", "found exclusive without gpu.memory, which it needs to take the GPU");
  } else if (m.residency == residency::exclusive && !gpus.pinned.empty()) {
    complain(".residency", "found exclusive beside a pinned model, which never makes room");
  } else if (m.residency == residency::on_demand && m.gpu_memory != 0 && gpus.pinned_fit) {
    sizes together = gpus.pinned;
    together.push_back(m.gpu_memory);
    if (!fit_together(together, gpus.gpus)) {
      complain(".gpu.memory", fmt::format("found {}, but the pinned models never make room for it",
                                          format_size(m.gpu_memory)));
    }
  }
}

}  // namespace

void check_placement(const settings& s, problem_list& problems) {
  machine gpus;
  for (const gpu_options& gpu : s.gpus) gpus.gpus.push_back(gpu.memory);
  for (const model_options& m : s.models) {
    if (m.residency == residency::pinned && m.gpu_memory != 0) gpus.pinned.push_back(m.gpu_memory);
  }
  gpus.pinned_fit = fit_together(gpus.pinned, gpus.gpus);
  bool each_fits = true;
  for (std::size_t i = 0; i < s.models.size(); ++i) {
    check_one(s.models[i], fmt::format("models[{}]", i), gpus, problems);
    each_fits = each_fits && std::any_of(s.gpus.begin(), s.gpus.end(), [&](const gpu_options& g) {
                  return s.models[i].gpu_memory <= g.memory;
                });
  }
  if (each_fits && !gpus.pinned_fit) {
    auto total = std::accumulate(gpus.pinned.begin(), gpus.pinned.end(), std::uint64_t{0});
    auto text = fmt::format(
        "found pinned models of {} together, which do not all fit the GPUs at "
        "once",
        format_size(total));
    problems.unrelated("models", std::move(text), {"gpus"});
  }
}

}  // namespace signalbox::config
