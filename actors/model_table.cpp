#include "actors/model_table.hpp"

#include <algorithm>
#include <utility>

#include "config/model_changes.hpp"

namespace signalbox {

model_table::model_table(std::vector<served_model_ptr> models) : models_(std::move(models)) {
  for (const auto& model : models_) {
    by_name_.emplace(model->options.name, model);
    for (const auto& alias : model->options.aliases) by_name_.emplace(alias, model);
  }
}

served_model_ptr model_table::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : found->second;
}

served_model_ptr model_table::find(model_index index) const {
  const auto found = std::find_if(models_.begin(), models_.end(),
                                  [=](const auto& model) { return model->index == index; });
  return found == models_.end() ? nullptr : *found;
}

table_change table_maker::change(const model_table& now,
                                 const std::vector<config::model_options>& wanted) {
  table_change out;
  std::vector<served_model_ptr> models;
  for (const auto& options : wanted) {
    const auto& all = now.models();
    const auto before = std::find_if(all.begin(), all.end(), [&](const auto& model) {
      return model->options.name == options.name;
    });
    if (before == all.end()) {
      out.added.push_back(models.emplace_back(make(next_++, options)));
      continue;
    }
    switch (config::compare((*before)->options, options)) {
      case config::model_change::nothing:
        models.push_back(*before);
        break;
      case config::model_change::rules:
        out.changed.push_back(models.emplace_back(make((*before)->index, options)));
        break;
      case config::model_change::runtime:
        out.restarting.push_back(models.emplace_back(make((*before)->index, options)));
        break;
    }
  }
  out.table = std::make_shared<const model_table>(std::move(models));
  for (const auto& model : now.models()) {
    if (!out.table->find(model->index)) out.removed.push_back(model);
  }
  return out;
}

served_model_ptr table_maker::make(model_index index, const config::model_options& options) {
  const bool is_exclusive = options.residency == config::residency::exclusive;
  const auto gpus = is_exclusive ? gpus_ : std::size_t{options.gpu_memory > 0};
  return std::make_shared<const served_model>(served_model{
      index, options, static_cast<std::uint32_t>(gpus), recorder_.of_model(options.name)});
}

}  // namespace signalbox
