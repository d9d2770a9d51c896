// All metrics of the process, declared in one place with the values of their labels. Model names
// come from the configuration, never from a request. It is thread-safe, and recording takes a few
// atomic operations. The program never reads metrics; the status board has its present state.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "actors/messages.hpp"

namespace signalbox {

// The label `route`: one word for each route of openapi.yaml that serves inference, and `other`.
enum class metric_route : std::uint8_t { chat_completions, completions, embeddings, models, other };
inline constexpr std::size_t metric_route_count = 5;

// Stands for the model of requests that name no configured one; the label `model` is then "none".
inline constexpr model_index no_model = 0xffff;

// Records and renders the metrics.
class metrics {
 public:
  metrics(const config::settings& settings, std::uint32_t shards);
  ~metrics();

  std::string render() const;  // Prometheus text format 0.0.4

  // Shards call these.
  void request_ended(model_index model, metric_route route, int http_status);
  void queue_waited(model_index model, duration waited);  // from ticket to permit; 0 by credit
  void first_token(model_index model, duration since_arrival);
  void tokens(model_index model, std::uint64_t prompt, std::uint64_t completion);
  void in_flight(model_index model, int delta);
  void request_log_lost(std::uint64_t lines);
  void shard_connections(shard_id shard, std::uint32_t open);
  // Actors call these.
  void queue_depth(model_index model, std::uint32_t waiting);
  void model_state(model_index model, scheduling::lifecycle_state state);
  void model_loaded(model_index model, bool success, duration took);
  void swapped();  // a lease was asked back for another model
  void leases(std::uint32_t gpu, std::uint32_t holders, std::uint64_t used_bytes);
  void crashed(model_index model, scheduling::exit_reason reason);
  void usage_dropped(std::uint64_t rows);
  void database_up(bool up);
  void actor_restarted();

 private:
  struct families;
  std::unique_ptr<families> families_;
};

}  // namespace signalbox
