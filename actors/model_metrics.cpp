// The metrics of one model.
#include <array>
#include <functional>
#include <utility>

#include "actors/metric_families.hpp"

namespace signalbox {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using scheduling::exit_reason;
using scheduling::lifecycle_state;

constexpr std::array states{lifecycle_state::stopped,  lifecycle_state::awaiting_lease,
                            lifecycle_state::starting, lifecycle_state::ready,
                            lifecycle_state::draining, lifecycle_state::stopping,
                            lifecycle_state::failed};
constexpr std::array failures{exit_reason::crashed,       exit_reason::oom,
                              exit_reason::killed,        exit_reason::hung,
                              exit_reason::segfault,      exit_reason::start_failed,
                              exit_reason::start_timeout, exit_reason::model_incompatible};

const Histogram::BucketBoundaries wait_buckets{0.001, 0.005, 0.02, 0.1, 0.5, 1,  2,
                                               5,     10,    30,   60,  120, 300};
const Histogram::BucketBoundaries first_token_buckets{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                                      2.5,  5,     10,   30,  60,   120, 300};
const Histogram::BucketBoundaries load_buckets{0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600};

}  // namespace

// All series of one model. They are made together, so that recording looks up no name, and removed
// together.
struct model_metrics::series {
  series(metric_families& families, const std::string& model);
  ~series() {
    for (const auto& remove : removals) remove();
  }
  series(const series&) = delete;

  template <class T, class... Arguments>
  T* add(prometheus::Family<T>& family, const prometheus::Labels& labels,
         const Arguments&... arguments) {
    auto* made = &family.Add(labels, arguments...);
    removals.push_back([&family, made] { family.Remove(made); });
    return made;
  }
  void add_traffic(metric_families& families, const std::string& model);
  void add_lifecycle(metric_families& families, const std::string& model);

  std::vector<std::function<void()>> removals;
  request_counters requests{};
  Gauge* queue_depth = nullptr;
  Histogram* queue_wait = nullptr;
  Gauge* in_flight = nullptr;
  Histogram* first_token = nullptr;
  Counter* prompt_tokens = nullptr;
  Counter* completion_tokens = nullptr;
  std::array<Gauge*, states.size()> state{};
  Counter* loads_succeeded = nullptr;
  Counter* loads_failed = nullptr;
  Histogram* load_time = nullptr;
  std::array<Counter*, failures.size()> crashes{};
};

model_metrics::series::series(metric_families& families, const std::string& model) {
  for (std::size_t r = 0; r < route_names.size(); ++r) {
    for (std::size_t c = 0; c < status_classes.size(); ++c) {
      requests[r][c] =
          add(families.requests,
              {{"model", model}, {"route", route_names[r]}, {"status_class", status_classes[c]}});
    }
  }
  add_traffic(families, model);
  add_lifecycle(families, model);
}

void model_metrics::series::add_traffic(metric_families& families, const std::string& model) {
  queue_depth = add(families.queue_depth, {{"model", model}});
  queue_wait = add(families.queue_wait, {{"model", model}}, wait_buckets);
  in_flight = add(families.in_flight, {{"model", model}});
  first_token = add(families.first_token, {{"model", model}}, first_token_buckets);
  prompt_tokens = add(families.tokens, {{"model", model}, {"kind", "prompt"}});
  completion_tokens = add(families.tokens, {{"model", model}, {"kind", "completion"}});
}

void model_metrics::series::add_lifecycle(metric_families& families, const std::string& model) {
  for (std::size_t s = 0; s < states.size(); ++s) {
    const std::string name(to_string(states[s]));
    state[s] = add(families.state, {{"model", model}, {"state", name}});
  }
  state[0]->Set(1);
  loads_succeeded = add(families.loads, {{"model", model}, {"result", "success"}});
  loads_failed = add(families.loads, {{"model", model}, {"result", "failure"}});
  load_time = add(families.load_time, {{"model", model}}, load_buckets);
  for (std::size_t r = 0; r < failures.size(); ++r) {
    const std::string reason(to_string(failures[r]));
    crashes[r] = add(families.crashes, {{"model", model}, {"reason", reason}});
  }
}

model_metrics::series& metric_families::share(const std::string& model) {
  const std::lock_guard lock(mutex_);
  auto& shared = models_[model];
  if (!shared.series) shared.series = std::make_shared<model_metrics::series>(*this, model);
  ++shared.holders;
  return *shared.series;
}

void metric_families::give_up(const std::string& model) {
  const std::lock_guard lock(mutex_);
  const auto found = models_.find(model);
  if (--found->second.holders == 0) models_.erase(found);
}

model_metrics::model_metrics(std::shared_ptr<metric_families> families, std::string name)
    : families_(std::move(families)), name_(std::move(name)), series_(families_->share(name_)) {}

model_metrics::~model_metrics() {
  families_->give_up(name_);
}

void model_metrics::request_ended(metric_route route, int http_status) {
  count_request(series_.requests, route, http_status);
}

void model_metrics::queue_waited(duration waited) {
  series_.queue_wait->Observe(to_seconds(waited));
}

void model_metrics::first_token(duration since_arrival) {
  series_.first_token->Observe(to_seconds(since_arrival));
}

void model_metrics::tokens(std::uint64_t prompt, std::uint64_t completion) {
  series_.prompt_tokens->Increment(static_cast<double>(prompt));
  series_.completion_tokens->Increment(static_cast<double>(completion));
}

void model_metrics::in_flight(int delta) {
  series_.in_flight->Increment(delta);
}

void model_metrics::queue_depth(std::uint32_t waiting) {
  series_.queue_depth->Set(waiting);
}

void model_metrics::state_changed(lifecycle_state state) {
  for (std::size_t s = 0; s < states.size(); ++s) series_.state[s]->Set(states[s] == state);
}

void model_metrics::loaded(bool success, duration took) {
  (success ? series_.loads_succeeded : series_.loads_failed)->Increment();
  if (success) series_.load_time->Observe(to_seconds(took));
}

void model_metrics::crashed(exit_reason reason) {
  for (std::size_t r = 0; r < failures.size(); ++r) {
    if (failures[r] == reason) series_.crashes[r]->Increment();
  }
}

}  // namespace signalbox
