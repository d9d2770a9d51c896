// The registry of the metrics and its families, which get series for every model. metrics.cpp and
// model_metrics.cpp share them.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "actors/metrics.hpp"

namespace signalbox {

inline constexpr std::array<const char*, metric_route_count> route_names{"chat_completions",
                                                                         "completions",
                                                                         "embeddings",
                                                                         "responses",
                                                                         "messages",
                                                                         "count_tokens",
                                                                         "rerank",
                                                                         "score",
                                                                         "audio_speech",
                                                                         "audio_transcriptions",
                                                                         "images_generations",
                                                                         "tokenize",
                                                                         "detokenize",
                                                                         "infill",
                                                                         "apply_template",
                                                                         "props",
                                                                         "slots",
                                                                         "ollama_chat",
                                                                         "ollama_generate",
                                                                         "ollama_embed",
                                                                         "upstream",
                                                                         "models",
                                                                         "other"};
static_assert(route_names.back() != nullptr);  // none is missing
inline constexpr std::array<const char*, 5> status_classes{"1xx", "2xx", "3xx", "4xx", "5xx"};

// The counters of one value of the label `model`, by route and class of the status.
using request_counters =
    std::array<std::array<prometheus::Counter*, status_classes.size()>, metric_route_count>;
void count_request(request_counters& counters, metric_route route, int http_status);

// Owns all series of the process.
struct metric_families {
  metric_families(std::size_t gpus, std::uint32_t shards);
  ~metric_families();

  using counter_family = prometheus::Family<prometheus::Counter>;
  using gauge_family = prometheus::Family<prometheus::Gauge>;
  using histogram_family = prometheus::Family<prometheus::Histogram>;
  counter_family& counters(const char* name, const char* help);
  gauge_family& gauges(const char* name, const char* help);
  histogram_family& histograms(const char* name, const char* help);

  // The series of a model exist from the first share() until each share() had its give_up(). Both
  // are thread-safe.
  model_metrics::series& share(const std::string& model);
  void give_up(const std::string& model);

  prometheus::Registry registry;

  // Families with series for each model.
  counter_family& requests;
  gauge_family& queue_depth;
  histogram_family& queue_wait;
  gauge_family& in_flight;
  histogram_family& first_token;
  counter_family& tokens;
  gauge_family& state;
  counter_family& loads;
  histogram_family& load_time;
  counter_family& crashes;

  // Series of the whole process, and of its GPUs and shards.
  struct gpu_series {
    prometheus::Gauge* holders;
    prometheus::Gauge* bytes;
  };
  request_counters refused{};  // requests that reached no model
  std::vector<gpu_series> gpus;
  std::vector<prometheus::Gauge*> connections;
  prometheus::Counter* accept_failures = nullptr;
  prometheus::Counter* swaps = nullptr;
  prometheus::Counter* usage_dropped = nullptr;
  prometheus::Counter* request_log_lost = nullptr;
  prometheus::Gauge* database_up = nullptr;
  prometheus::Counter* actor_restarts = nullptr;

 private:
  struct shared_series {
    std::shared_ptr<model_metrics::series> series;  // shared_ptr, as the type is incomplete here
    std::size_t holders = 0;                        // calls of share() without their give_up()
  };
  void add_machine(std::size_t gpu_count, std::uint32_t shards);

  std::mutex mutex_;
  std::map<std::string, shared_series> models_;
};

}  // namespace signalbox
