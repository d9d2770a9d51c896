// All metrics of the process, declared in one place with the values of their labels. Model names
// come from the configuration, never from a request. It is thread-safe, and recording takes a few
// atomic operations. The program never reads metrics; the status board has its present state.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "actors/messages.hpp"

namespace signalbox {

// The label `route`: one word for each route of openapi.yaml that reaches runtimes, whatever its
// path and method, and `other`. `ollama_embed` has both of Ollama's routes for vectors.
enum class metric_route : std::uint8_t {
  chat_completions,
  completions,
  embeddings,
  responses,
  messages,
  count_tokens,
  rerank,
  score,
  audio_speech,
  audio_transcriptions,
  images_generations,
  tokenize,
  detokenize,
  infill,
  apply_template,
  props,
  slots,
  ollama_chat,
  ollama_generate,
  ollama_embed,
  upstream,
  models,
  other
};
inline constexpr std::size_t metric_route_count = static_cast<std::size_t>(metric_route::other) + 1;

struct metric_families;

// Records the metrics of one model. Its series exist as long as such an object does.
class model_metrics {
 public:
  struct series;

  ~model_metrics();
  model_metrics(const model_metrics&) = delete;

  // Shards call these.
  void request_ended(metric_route route, int http_status);
  void queue_waited(duration waited);  // from arrival to the first permit; 0 by credit
  void first_token(duration since_arrival);
  void tokens(std::uint64_t prompt, std::uint64_t completion);
  void in_flight(int delta);
  // Actors call these.
  void queue_depth(std::uint32_t waiting);
  void state_changed(scheduling::lifecycle_state state);
  void loaded(bool success, duration took);
  void crashed(scheduling::exit_reason reason);

 private:
  friend class metrics;
  model_metrics(std::shared_ptr<metric_families> families, std::string name);

  std::shared_ptr<metric_families> families_;
  const std::string name_;
  series& series_;  // shared by all objects with this name
};
using model_metrics_ptr = std::shared_ptr<model_metrics>;

// Records and renders the metrics.
class metrics {
 public:
  metrics(std::size_t gpus, std::uint32_t shards);
  ~metrics();

  std::string render() const;  // Prometheus text format 0.0.4

  // Returns the metrics of the model with this name. All objects for one name share its series.
  model_metrics_ptr of_model(const std::string& name);

  // Shards call these.
  void request_refused(metric_route route, int http_status);  // the label `model` is "none"
  void request_log_lost(std::uint64_t lines);
  void shard_connections(shard_id shard, std::uint32_t open);
  void accept_failed();
  // Actors call these.
  void swapped();  // a lease was asked back for another model
  void leases(std::uint32_t gpu, std::uint32_t holders, std::uint64_t used_bytes);
  void usage_dropped(std::uint64_t rows);
  void database_up(bool up);
  void actor_restarted();

 private:
  std::shared_ptr<metric_families> families_;  // shared with each model_metrics
};

}  // namespace signalbox
