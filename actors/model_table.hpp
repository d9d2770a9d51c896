// The table of the models that are served. It is immutable: every change makes another table, which
// the supervisor publishes. Readers may keep the old one for as long as they need it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "actors/metrics.hpp"
#include "config/settings.hpp"
#include "scheduling/types.hpp"

namespace signalbox {

// One model with its configuration. A model that changes keeps its index and its metrics.
struct served_model {
  model_index index = 0;
  config::model_options options;
  std::uint32_t gpus = 0;  // held while it is loaded; an exclusive model holds all
  model_metrics_ptr meters;
};
using served_model_ptr = std::shared_ptr<const served_model>;

// Finds models by name, alias or index.
class model_table {
 public:
  explicit model_table(std::vector<served_model_ptr> models = {});

  // All models, in the order of the configuration.
  const std::vector<served_model_ptr>& models() const { return models_; }
  served_model_ptr find(std::string_view name) const;  // name or alias; null: no model has it
  served_model_ptr find(model_index index) const;      // null: it is not served

 private:
  std::vector<served_model_ptr> models_;
  std::unordered_map<std::string_view, served_model_ptr> by_name_;  // views into the models
};
using model_table_ptr = std::shared_ptr<const model_table>;

// The next table, and its difference to the present one. Models in none of the lists are as they
// were.
struct table_change {
  model_table_ptr table;
  std::vector<served_model_ptr> added, removed;
  std::vector<served_model_ptr> changed;     // their runtimes are not affected
  std::vector<served_model_ptr> restarting;  // their changes need new backends
};

// Makes the tables and gives out the indexes. Each process has one.
class table_maker {
 public:
  table_maker(metrics& recorder, std::size_t gpus) : recorder_(recorder), gpus_(gpus) {}

  // Makes the table that comes after `now` and has the models `wanted`, which must be valid
  // together with the other settings in force.
  table_change change(const model_table& now, const std::vector<config::model_options>& wanted);

 private:
  served_model_ptr make(model_index index, const config::model_options& options);

  metrics& recorder_;
  const std::size_t gpus_;  // number of GPUs of the machine
  model_index next_ = 0;
};

// The result of a reload: names of models, and options that were not applied.
struct reload_report {
  std::string problems;  // of the configuration, one in a line; if any, nothing else is set or done
  std::vector<std::string> added, removed, changed;  // as in table_change
  std::vector<std::string> restarting;     // of table_change, and what earlier reloads left to do
  std::vector<std::string> needs_restart;  // paths of options that need a restart of the process
};

}  // namespace signalbox
