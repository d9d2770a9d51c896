#include "actors/metrics.hpp"

#include <prometheus/text_serializer.h>

#include <algorithm>
#include <chrono>
#include <sstream>

#include "actors/metric_families.hpp"

namespace signalbox {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

metric_families::metric_families(std::size_t gpu_count, std::uint32_t shards)
    : requests(counters("signalbox_requests_total",
                        "Requests answered, by model (none: it reached no model's queue), route "
                        "and class of the HTTP status.")),
      queue_depth(gauges("signalbox_queue_depth", "Requests that wait for a permit.")),
      queue_wait(
          histograms("signalbox_queue_wait_seconds", "Time from arrival to the first permit.")),
      in_flight(gauges("signalbox_in_flight", "Requests that hold a permit.")),
      first_token(histograms("signalbox_time_to_first_token_seconds",
                             "Time from arrival to the first byte of a streamed answer.")),
      tokens(counters("signalbox_tokens_total", "Tokens, by kind (prompt, completion).")),
      state(gauges("signalbox_model_state", "1 for the state that the model is in, else 0.")),
      loads(counters("signalbox_model_loads_total", "Loads, by result (success, failure).")),
      load_time(histograms("signalbox_model_load_seconds",
                           "Time from start to ready of loads that succeeded.")),
      crashes(counters("signalbox_crashes_total",
                       "Runtimes that ended on their own or did not start, by reason.")) {
  add_machine(gpu_count, shards);
}

metric_families::~metric_families() = default;

metric_families::counter_family& metric_families::counters(const char* name, const char* help) {
  return BuildCounter().Name(name).Help(help).Register(registry);
}

metric_families::gauge_family& metric_families::gauges(const char* name, const char* help) {
  return BuildGauge().Name(name).Help(help).Register(registry);
}

metric_families::histogram_family& metric_families::histograms(const char* name, const char* help) {
  return BuildHistogram().Name(name).Help(help).Register(registry);
}

void metric_families::add_machine(std::size_t gpu_count, std::uint32_t shards) {
  for (std::size_t r = 0; r < route_names.size(); ++r) {
    for (std::size_t c = 0; c < status_classes.size(); ++c) {
      refused[r][c] = &requests.Add(
          {{"model", "none"}, {"route", route_names[r]}, {"status_class", status_classes[c]}});
    }
  }
  auto& holders = gauges("signalbox_lease_holders", "Leases on the GPU.");
  auto& bytes = gauges("signalbox_lease_bytes", "Leased bytes of GPU memory.");
  for (std::size_t i = 0; i < gpu_count; ++i) {
    const prometheus::Labels label{{"gpu", std::to_string(i)}};
    gpus.push_back({&holders.Add(label), &bytes.Add(label)});
  }
  auto& open = gauges("signalbox_shard_connections", "Open client connections.");
  for (std::uint32_t i = 0; i < shards; ++i) {
    connections.push_back(&open.Add({{"shard", std::to_string(i)}}));
  }
  accept_failures = &counters("signalbox_accept_failures_total",
                              "Times that no connection could be accepted, because the system had "
                              "no descriptor or memory left.")
                         .Add({});
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

void count_request(request_counters& counters, metric_route route, int http_status) {
  const auto status_class = static_cast<std::size_t>(std::clamp(http_status / 100, 1, 5) - 1);
  counters[static_cast<std::size_t>(route)][status_class]->Increment();
}

metrics::metrics(std::size_t gpus, std::uint32_t shards)
    : families_(std::make_shared<metric_families>(gpus, shards)) {}

metrics::~metrics() = default;

std::string metrics::render() const {
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, families_->registry.Collect());
  return std::move(out).str();
}

model_metrics_ptr metrics::of_model(const std::string& name) {
  return model_metrics_ptr(new model_metrics(families_, name));
}

void metrics::request_refused(metric_route route, int http_status) {
  count_request(families_->refused, route, http_status);
}

void metrics::shard_connections(shard_id shard, std::uint32_t open) {
  families_->connections.at(shard)->Set(open);
}

void metrics::accept_failed() {
  families_->accept_failures->Increment();
}

void metrics::swapped() {
  families_->swaps->Increment();
}

void metrics::leases(std::uint32_t gpu, std::uint32_t holders, std::uint64_t used_bytes) {
  auto& series = families_->gpus.at(gpu);
  series.holders->Set(holders);
  series.bytes->Set(static_cast<double>(used_bytes));
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
