// Usage, and names that no model has, as they go between shards, actors and stores.
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

// How a request ended, for whoever it is accounted to.
enum class usage_status : std::uint8_t { success, error, cancelled };
std::string_view to_string(usage_status value);

// Every count is what to add.
struct usage_counts {
  std::uint64_t requests = 0, successes = 0, errors = 0, cancelled = 0;
  std::uint64_t prompt_tokens = 0, completion_tokens = 0;
  std::uint64_t estimated = 0;  // requests of these whose runtime told no usage
  std::uint64_t gpu_us = 0;     // permit to end, times the GPUs that the model holds
  std::uint64_t queue_us = 0;   // arrival to end, less the time with a permit
  wall_time last_seen{};        // when the latest of them ended
  usage_status last_status = usage_status::success;  // and how

  usage_counts& operator+=(const usage_counts& other) {
    requests += other.requests;
    successes += other.successes;
    errors += other.errors;
    cancelled += other.cancelled;
    prompt_tokens += other.prompt_tokens;
    completion_tokens += other.completion_tokens;
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

// Added up per (key_id, client_id, model, source, day).
struct usage_row : usage_counts {
  std::string key_id;
  std::string client_id;  // X-Client-ID; empty: none came
  std::string model;
  usage_source source = usage_source::realtime;
  std::int32_t day = 0;  // days since 1970-01-01, UTC
};
struct usage_batch {
  std::vector<usage_row> rows;
};
struct flush_usage {};  // write now; answered when durable or failed

// Comes along with a question for a report, which may have to wait.
struct report_wait {
  std::shared_ptr<void> place;  // held while the question waits: bounds how many do
  time_point deadline = never;  // nobody waits for the answer any more
};

// By what usage is told apart in a report; all others are added up.
struct usage_grouping {
  bool day = false, key = false, client = false, model = false, source = false;
};
// Days are inclusive. Groups come in ascending order of day, key, client, model, source.
struct usage_group : usage_counts {
  std::int32_t day = 0;  // this and the texts: zero and empty when not grouped by
  std::string key_id, client_id, model, source;
};
struct list_usage {
  usage_grouping by;
  std::int32_t first_day = 0, last_day = 0;
  std::optional<std::string> key_id;  // of this one only
  std::optional<usage_group> after;   // where the last report ended; its counts do not matter
  std::uint32_t limit = 0;            // at most 1000
  report_wait wait = {};
};
struct usage_report {
  std::vector<usage_group> groups;
};

// What each key used, in seed 002's terms.
struct key_usage : usage_counts {
  std::string key_id;
  std::uint64_t realtime_requests = 0, batch_requests = 0;
  std::string last_model, last_source;  // of the request that was last_seen
};
struct list_key_usage {
  std::optional<std::int32_t> day;  // none: all that are kept
  std::string after;                // a key id; empty: from the first on
  std::uint32_t limit = 0;          // at most 1000
  report_wait wait = {};
};
struct key_usage_report {
  std::vector<key_usage> keys;  // by id
};

// A name that clients asked for and no model has.
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
inline constexpr std::uint32_t missing_model_limit = 1000;  // that are kept
struct missing_model_batch {
  std::vector<missing_model> models;  // what to add
};
struct list_missing_models {
  std::uint32_t limit;
  report_wait wait = {};
};
struct missing_model_list {
  std::vector<missing_model> models;  // the last seen first
};

}  // namespace signalbox
