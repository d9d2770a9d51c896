#include "actors/metrics.hpp"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <sstream>

namespace signalbox {
namespace {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;
using scheduling::exit_reason;
using scheduling::lifecycle_state;

constexpr std::array<const char*, metric_route_count> route_names{"chat_completions", "completions",
                                                                  "embeddings", "models", "other"};
constexpr std::array<const char*, 5> status_classes{"1xx", "2xx", "3xx", "4xx", "5xx"};
constexpr std::array states{lifecycle_state::stopped,  lifecycle_state::awaiting_lease,
                            lifecycle_state::starting, lifecycle_state::ready,
                            lifecycle_state::draining, lifecycle_state::stopping,
                            lifecycle_state::failed};
constexpr std::array failures{exit_reason::crashed, exit_reason::oom, exit_reason::segfault,
                              exit_reason::start_failed, exit_reason::start_timeout};

const Histogram::BucketBoundaries wait_buckets{0.001, 0.005, 0.02, 0.1, 0.5, 1,  2,
                                               5,     10,    30,   60,  120, 300};
const Histogram::BucketBoundaries first_token_buckets{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1,
                                                      2.5,  5,     10,   30,  60,   120, 300};
const Histogram::BucketBoundaries load_buckets{0.1, 0.5, 1, 2, 5, 10, 20, 40, 60, 120, 300, 600};

// All series of one model. They are made at start, so that recording looks up no name.
struct model_series {
  std::array<std::array<Counter*, status_classes.size()>, metric_route_count> requests{};
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

struct gpu_series {
  Gauge* holders;
  Gauge* bytes;
};

}  // namespace

struct metrics::families {
  families(const config::settings& settings, std::uint32_t shards);

  model_series& of(model_index model) { return *models.at(model); }

  prometheus::Family<Counter>& counters(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }
  prometheus::Family<Gauge>& gauges(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
  }
  prometheus::Family<Histogram>& histograms(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
  }

  void add_requests(const config::settings& settings);
  void add_traffic(const config::settings& settings);
  void add_lifecycle(const config::settings& settings);
  void add_machine(const config::settings& settings, std::uint32_t shards);

  prometheus::Registry registry;
  std::vector<std::unique_ptr<model_series>> models;
  model_series none;  // requests that name no configured model; only `requests` is used
  std::vector<gpu_series> gpus;
  std::vector<Gauge*> connections;
  Counter* swaps = nullptr;
  Counter* usage_dropped = nullptr;
  Counter* request_log_lost = nullptr;
  Gauge* database_up = nullptr;
  Counter* actor_restarts = nullptr;
};

metrics::families::families(const config::settings& settings, std::uint32_t shards) {
  for (std::size_t i = 0; i < settings.models.size(); ++i) {
    models.push_back(std::make_unique<model_series>());
  }
  add_requests(settings);
  add_traffic(settings);
  add_lifecycle(settings);
  add_machine(settings, shards);
}

void metrics::families::add_requests(const config::settings& settings) {
  auto& family = counters("signalbox_requests_total",
                          "Requests answered, by model (none: it reached no model's queue), route "
                          "and class of the HTTP status.");
  const auto add = [&family](model_series& series, const std::string& model) {
    for (std::size_t r = 0; r < route_names.size(); ++r) {
      for (std::size_t c = 0; c < status_classes.size(); ++c) {
        series.requests[r][c] = &family.Add(
            {{"model", model}, {"route", route_names[r]}, {"status_class", status_classes[c]}});
      }
    }
  };
  for (std::size_t i = 0; i < models.size(); ++i) add(*models[i], settings.models[i].name);
  add(none, "none");
}

void metrics::families::add_traffic(const config::settings& settings) {
  auto& depth = gauges("signalbox_queue_depth", "Requests that wait for a permit.");
  auto& wait = histograms("signalbox_queue_wait_seconds", "Time from arrival to the first permit.");
  auto& in_flight = gauges("signalbox_in_flight", "Requests that hold a permit.");
  auto& first = histograms("signalbox_time_to_first_token_seconds",
                           "Time from arrival to the first byte of a streamed answer.");
  auto& tokens = counters("signalbox_tokens_total", "Tokens, by kind (prompt, completion).");
  for (std::size_t i = 0; i < models.size(); ++i) {
    auto& m = *models[i];
    const auto& name = settings.models[i].name;
    m.queue_depth = &depth.Add({{"model", name}});
    m.queue_wait = &wait.Add({{"model", name}}, wait_buckets);
    m.in_flight = &in_flight.Add({{"model", name}});
    m.first_token = &first.Add({{"model", name}}, first_token_buckets);
    m.prompt_tokens = &tokens.Add({{"model", name}, {"kind", "prompt"}});
    m.completion_tokens = &tokens.Add({{"model", name}, {"kind", "completion"}});
  }
}

void metrics::families::add_lifecycle(const config::settings& settings) {
  auto& state = gauges("signalbox_model_state", "1 for the state that the model is in, else 0.");
  auto& loads = counters("signalbox_model_loads_total", "Loads, by result (success, failure).");
  auto& load_time = histograms("signalbox_model_load_seconds",
                               "Time from start to ready of loads that succeeded.");
  auto& crashes = counters("signalbox_crashes_total",
                           "Runtimes that ended on their own or did not start, by reason.");
  for (std::size_t i = 0; i < models.size(); ++i) {
    auto& m = *models[i];
    const auto& name = settings.models[i].name;
    for (std::size_t s = 0; s < states.size(); ++s) {
      m.state[s] = &state.Add({{"model", name}, {"state", std::string(to_string(states[s]))}});
    }
    m.state[0]->Set(1);
    m.loads_succeeded = &loads.Add({{"model", name}, {"result", "success"}});
    m.loads_failed = &loads.Add({{"model", name}, {"result", "failure"}});
    m.load_time = &load_time.Add({{"model", name}}, load_buckets);
    for (std::size_t r = 0; r < failures.size(); ++r) {
      const std::string reason(to_string(failures[r]));
      m.crashes[r] = &crashes.Add({{"model", name}, {"reason", reason}});
    }
  }
}

void metrics::families::add_machine(const config::settings& settings, std::uint32_t shards) {
  auto& holders = gauges("signalbox_lease_holders", "Leases on the GPU.");
  auto& bytes = gauges("signalbox_lease_bytes", "Leased bytes of GPU memory.");
  for (std::size_t i = 0; i < settings.gpus.size(); ++i) {
    const prometheus::Labels label{{"gpu", std::to_string(i)}};
    gpus.push_back({&holders.Add(label), &bytes.Add(label)});
  }
  auto& open = gauges("signalbox_shard_connections", "Open client connections.");
  for (std::uint32_t i = 0; i < shards; ++i) {
    connections.push_back(&open.Add({{"shard", std::to_string(i)}}));
  }
  swaps = &counters("signalbox_swaps_total", "Leases asked back for another model.").Add({});
  usage_dropped = &counters("signalbox_usage_dropped_total", "Rows of usage lost.").Add({});
  request_log_lost =
      &counters("signalbox_request_log_lost_total", "Lines of the request log lost.").Add({});
  database_up = &gauges("signalbox_database_up",
                        "1 if the last request to the database succeeded, else 0; there is a "
                        "request every 5 s at least.")
                     .Add({});
  actor_restarts =
      &counters("signalbox_actor_restarts_total", "Actors started again after they ended.").Add({});
  gauges("signalbox_start_time_seconds", "When the gateway started, in seconds since 1970.")
      .Add({})
      .Set(to_seconds(std::chrono::system_clock::now().time_since_epoch()));
}

metrics::metrics(const config::settings& settings, std::uint32_t shards)
    : families_(std::make_unique<families>(settings, shards)) {}

metrics::~metrics() = default;

std::string metrics::render() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families_->registry.Collect());
  return std::move(out).str();
}

void metrics::request_ended(model_index model, metric_route route, int http_status) {
  auto& series = model == no_model ? families_->none : families_->of(model);
  const auto status_class = static_cast<std::size_t>(std::clamp(http_status / 100, 1, 5) - 1);
  series.requests[static_cast<std::size_t>(route)][status_class]->Increment();
}

void metrics::queue_waited(model_index model, duration waited) {
  families_->of(model).queue_wait->Observe(to_seconds(waited));
}

void metrics::first_token(model_index model, duration since_arrival) {
  families_->of(model).first_token->Observe(to_seconds(since_arrival));
}

void metrics::tokens(model_index model, std::uint64_t prompt, std::uint64_t completion) {
  auto& series = families_->of(model);
  series.prompt_tokens->Increment(static_cast<double>(prompt));
  series.completion_tokens->Increment(static_cast<double>(completion));
}

void metrics::in_flight(model_index model, int delta) {
  families_->of(model).in_flight->Increment(delta);
}

void metrics::shard_connections(shard_id shard, std::uint32_t open) {
  families_->connections.at(shard)->Set(open);
}

void metrics::queue_depth(model_index model, std::uint32_t waiting) {
  families_->of(model).queue_depth->Set(waiting);
}

void metrics::model_state(model_index model, lifecycle_state state) {
  auto& series = families_->of(model);
  for (std::size_t s = 0; s < states.size(); ++s) series.state[s]->Set(states[s] == state);
}

void metrics::model_loaded(model_index model, bool success, duration took) {
  auto& series = families_->of(model);
  (success ? series.loads_succeeded : series.loads_failed)->Increment();
  if (success) series.load_time->Observe(to_seconds(took));
}

void metrics::swapped() {
  families_->swaps->Increment();
}

void metrics::leases(std::uint32_t gpu, std::uint32_t holders, std::uint64_t used_bytes) {
  auto& series = families_->gpus.at(gpu);
  series.holders->Set(holders);
  series.bytes->Set(static_cast<double>(used_bytes));
}

void metrics::crashed(model_index model, exit_reason reason) {
  for (std::size_t r = 0; r < failures.size(); ++r) {
    if (failures[r] == reason) families_->of(model).crashes[r]->Increment();
  }
}

void metrics::request_log_lost(std::uint64_t lines) {
  families_->request_log_lost->Increment(static_cast<double>(lines));
}

void metrics::usage_dropped(std::uint64_t rows) {
  families_->usage_dropped->Increment(static_cast<double>(rows));
}

void metrics::database_up(bool up) {
  families_->database_up->Set(up);
}

void metrics::actor_restarted() {
  families_->actor_restarts->Increment();
}

}  // namespace signalbox
