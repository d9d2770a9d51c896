// Usage, and names of missing models, as shards, actors and stores exchange them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "records/wall_time.hpp"
#include "scheduling/types.hpp"

namespace signalbox {

enum class usage_source : std::uint8_t { realtime, batch, eval };
std::string_view to_string(usage_source value);

// How a request ended, for accounting.
enum class usage_status : std::uint8_t { success, error, cancelled };
std::string_view to_string(usage_status value);

// Increments of the counters, and the latest request among those counted.
struct usage_counts {
  std::uint64_t requests = 0, successes = 0, errors = 0, cancelled = 0;
  std::uint64_t prompt_tokens = 0, completion_tokens = 0;
  std::uint64_t cached_tokens = 0;     // of prompt_tokens: read from a cache
  std::uint64_t reasoning_tokens = 0;  // of completion_tokens
  std::uint64_t estimated = 0;         // of `requests`: without usage from the runtime
  std::uint64_t gpu_us = 0;            // from permit to end, times the GPUs of the model
  std::uint64_t queue_us = 0;          // from arrival to end, less the time with a permit
  wall_time last_seen{};               // end of the latest request
  usage_status last_status = usage_status::success;  // outcome of the latest request

  usage_counts& operator+=(const usage_counts& other) {
    requests += other.requests;
    successes += other.successes;
    errors += other.errors;
    cancelled += other.cancelled;
    prompt_tokens += other.prompt_tokens;
    completion_tokens += other.completion_tokens;
    cached_tokens += other.cached_tokens;
    reasoning_tokens += other.reasoning_tokens;
    estimated += other.estimated;
    gpu_us += other.gpu_us;
    queue_us += other.queue_us;
    if (other.last_seen >= last_seen) {
      last_seen = other.last_seen;
      last_status = other.last_status;
    }
    return *this;
  }
};

inline double us_to_seconds(std::uint64_t us) {
  return static_cast<double>(us) / 1e6;
}

// The counts of one (key_id, client_id, model, source, day).
struct usage_row : usage_counts {
  std::string key_id;
  std::string client_id;  // X-Client-ID; empty: none was sent
  std::string model;
  usage_source source = usage_source::realtime;
  std::int32_t day = 0;  // days since 1970-01-01, UTC
};
struct usage_batch {
  std::vector<usage_row> rows;
};
struct flush_usage {};  // write now; answered when durable or failed

// Bounds a query for a report, which may have to wait.
struct report_wait {
  std::shared_ptr<void> place;  // held while the query waits, to bound their number
  time_point deadline = never;  // after this nobody waits for the answer
};

// The columns that a report groups by; usage is summed over the others.
struct usage_grouping {
  bool day = false, key = false, client = false, model = false, source = false;
};
// Days are inclusive. Groups are in ascending order of day, key, client, model, source.
struct usage_group : usage_counts {
  std::int32_t day = 0;  // zero or empty where not grouped by
  std::string key_id, client_id, model, source;
};
struct list_usage {
  usage_grouping by;
  std::int32_t first_day = 0, last_day = 0;
  std::optional<std::string> key_id;  // only this key
  std::optional<usage_group> after;   // last group of the previous page; its counts are ignored
  std::uint32_t limit = 0;            // at most 1000
  report_wait wait = {};
};
struct usage_report {
  std::vector<usage_group> groups;
};

// The use of each key, in the terms of seed 002.
struct key_usage : usage_counts {
  std::string key_id;
  std::uint64_t realtime_requests = 0, batch_requests = 0;
  std::string last_model, last_source;  // of the latest request
};
struct list_key_usage {
  std::optional<std::int32_t> day;  // none: all days that are kept
  std::string after;                // last key id of the previous page; empty: the first page
  std::uint32_t limit = 0;          // at most 1000
  report_wait wait = {};
};
struct key_usage_report {
  std::vector<key_usage> keys;  // by id
};

// A model name that clients asked for and that no model has.
struct missing_model {
  std::string model;
  std::uint64_t requests = 0;
  wall_time first_seen{}, last_seen{};
  std::string last_client_id, last_key_id;

  missing_model& operator+=(const missing_model& other) {
    requests += other.requests;
    first_seen = std::min(first_seen, other.first_seen);
    if (other.last_seen >= last_seen) {
      last_seen = other.last_seen;
      last_client_id = other.last_client_id;
      last_key_id = other.last_key_id;
    }
    return *this;
  }
};
inline constexpr std::uint32_t max_missing_models = 1000;  // names that are kept
struct missing_model_batch {
  std::vector<missing_model> models;  // increments
};
struct list_missing_models {
  std::uint32_t limit;
  report_wait wait = {};
};
struct missing_model_list {
  std::vector<missing_model> models;  // latest first
};

}  // namespace signalbox
