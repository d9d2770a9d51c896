#include "tests/simulation/gateway.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

namespace signalbox::simulation {

gateway::gateway(world& w, setup s) : w_(w), setup_(std::move(s)), arbiter_(setup_.machine) {
  models_.reserve(setup_.models.size());
  for (const auto& m : setup_.models) {
    models_.push_back({.setup = m,
                       .queue = core::single_backend(m.limits),
                       .life = core::model_lifecycle(m.life),
                       .counters = std::vector<counter>(setup_.shards)});
  }
}

void gateway::start() {
  for (std::size_t m = 0; m < models_.size(); ++m) {
    for (std::size_t s = 0; s < setup_.shards; ++s) {
      carry_out(m, models_[m].queue.attach_shard(static_cast<shard_id>(s), 0, w_.now()));
    }
    if (models_[m].setup.life.pinned) {
      to_backend(queue_of(m), m, [this](auto& life) { return life.ensure_ready(w_.now()); });
    }
  }
}

void gateway::stop_all() {
  for (std::size_t m = 0; m < models_.size(); ++m) {
    carry_out(m, models_[m].life.stop(w_.now()));
  }
}

bool gateway::everything_ended() const {
  return std::all_of(models_.begin(), models_.end(), [](const served_model& m) {
    return std::all_of(m.counters.begin(), m.counters.end(), [](const counter& c) {
      return c.waiting.empty() && c.in_use.empty() && is_empty(c.next);
    });
  });
}

std::string gateway::describe() const {
  std::ostringstream text;
  for (std::size_t m = 0; m < models_.size(); ++m) {
    const auto& model = models_[m];
    text << "  model " << m << ": " << core::to_string(model.life.state())
         << (model.queue.is_open() ? ", open" : ", closed") << ", waiting " << model.queue.waiting()
         << ", held " << model.queue.held() << ", lease " << model.life.token() << ", failures "
         << model.life.failures() << '\n';
    for (const auto& c : model.counters) {
      text << "    shard: credits " << c.credits << ", in use " << c.in_use.size() << ", waiting "
           << c.waiting.size() << (c.stocked ? ", stocked" : ", recalled") << '\n';
    }
  }
  return text.str();
}

}  // namespace signalbox::simulation
