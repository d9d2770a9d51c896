// The models that are served, as one immutable snapshot. The supervisor publishes another one with
// every change; readers keep what they hold of the old one for as long as they need it.
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

// One model as it is configured. A model that changes keeps its index and its metrics.
struct served_model {
  model_index index = 0;
  config::model_options options;
  std::uint32_t gpus = 0;  // that it holds while it is loaded; an exclusive one holds all
  model_metrics_ptr meters;
};
using served_model_ptr = std::shared_ptr<const served_model>;

class model_table {
 public:
  explicit model_table(std::vector<served_model_ptr> models = {});

  // In the order of the configuration.
  const std::vector<served_model_ptr>& models() const { return models_; }
  served_model_ptr find(std::string_view name) const;  // or an alias; null: there is none
  served_model_ptr find(model_index index) const;      // null: it is not served any more

 private:
  std::vector<served_model_ptr> models_;
  std::unordered_map<std::string_view, served_model_ptr> by_name_;  // views into the models
};
using model_table_ptr = std::shared_ptr<const model_table>;

// From one table to the next. What is in none of the lists goes on undisturbed.
struct table_change {
  model_table_ptr table;
  std::vector<served_model_ptr> added, removed;
  std::vector<served_model_ptr> changed;     // in what concerns no runtime
  std::vector<served_model_ptr> restarting;  // changed so that they need new backends
};

// Makes tables, and gives out the indexes. One for each process.
class table_maker {
 public:
  table_maker(metrics& recorder, std::size_t gpus) : recorder_(recorder), gpus_(gpus) {}

  // `wanted` is valid together with the rest of the configuration that is in force.
  table_change change(const model_table& now, const std::vector<config::model_options>& wanted);

 private:
  served_model_ptr make(model_index index, const config::model_options& options);

  metrics& recorder_;
  const std::size_t gpus_;  // of the machine
  model_index next_ = 0;
};

// What another reading of the configuration did, by the names of models.
struct reload_report {
  std::vector<std::string> added, removed, changed, restarting;  // as in table_change
  std::vector<std::string> needs_restart;  // paths of options that only a new start applies
};

}  // namespace signalbox
