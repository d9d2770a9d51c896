// The supervisor's book of its children: what each is, whether it lives, and how often it may be
// started again.
#pragma once

#include <algorithm>
#include <array>
#include <caf/all.hpp>
#include <list>
#include <optional>
#include <string>
#include <utility>

#include "actors/model_table.hpp"
#include "actors/supervisor.hpp"
#include "scheduling/restart_policy.hpp"

namespace signalbox {

inline constexpr model_index no_model = 0xffffffff;  // of children that belong to no model

// An actor that the supervisor started, and what it needs to start it again.
struct supervised_child {
  supervised_child(child_kind k, served_model_ptr m) : kind(k), model(std::move(m)) {}

  model_index index() const { return model ? model->index : no_model; }

  // The kind and, if there is one, the model; for the log.
  std::string label() const {
    constexpr std::array kinds{"crash_log", "usage_ledger",   "key_registry", "login_guard",
                               "gpu_lease", "outside_leases", "model_queue",  "model_backend"};
    std::string text = kinds[static_cast<std::size_t>(kind)];
    if (model) text += " " + model->options.name;
    return text;
  }

  child_kind kind;
  served_model_ptr model;  // null if it has none
  scheduling::restart_policy policy{scheduling::restart_options{}};
  caf::actor_addr address;
  backend_id backend = 0;  // of the present start; 0 if it is no backend
  std::uint32_t life = 0;  // how often it was started again
  bool alive = false;
  bool is_told_to_stop = false;  // a backend whose model changed or was removed
};

// All children in the order of their start. References stay valid until a child is removed.
class supervised_children {
 public:
  supervised_child& add(child_kind kind, served_model_ptr model = nullptr) {
    return all_.emplace_back(kind, std::move(model));
  }
  void remove_model(model_index model) {
    std::erase_if(all_, [=](const supervised_child& c) { return c.index() == model; });
  }
  void clear() { all_.clear(); }

  supervised_child* find(child_kind kind, model_index model = no_model) {
    return first([=](const supervised_child& c) { return c.kind == kind && c.index() == model; });
  }
  supervised_child* find_living(const caf::actor_addr& address) {
    return first([&](const supervised_child& c) { return c.alive && c.address == address; });
  }
  // Tells whether a backend lives, of this model or of any.
  bool has_living_backend(std::optional<model_index> model = {}) const {
    return std::any_of(all_.begin(), all_.end(), [=](const supervised_child& c) {
      return c.kind == child_kind::model_backend && c.alive && (!model || c.index() == *model);
    });
  }

  auto begin() { return all_.begin(); }
  auto end() { return all_.end(); }

 private:
  template <class Predicate>
  supervised_child* first(Predicate is_wanted) {
    const auto found = std::find_if(all_.begin(), all_.end(), is_wanted);
    return found == all_.end() ? nullptr : &*found;
  }

  std::list<supervised_child> all_;
};

}  // namespace signalbox
