// All options of the program with their defaults. Bounds, file keys and environment names are in
// config/schema.cpp. Settings are validated before the rest of the program sees them, and never
// change.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace signalbox::config {

inline constexpr std::uint64_t kib = 1024, mib = 1024 * kib, gib = 1024 * mib;

struct tls_options {  // for the https:// addresses; both files or neither
  std::string certificate;
  std::string private_key;
};

struct server_options {
  std::vector<std::string> listen{"127.0.0.1:8000"};  // ADDR:PORT, https://[v6]:PORT
  std::uint32_t shards = 0;                           // 0: one for each core, at most 8
  std::uint64_t body_limit = 32 * mib;                // request body, bytes
  std::uint64_t body_memory = 0;                      // of all bodies; 0: an eighth of the memory
  std::uint64_t response_limit = 64 * mib;            // non-streamed answer of a runtime, bytes
  std::uint32_t header_limit = 32 * 1024;             // one header field, bytes
  std::uint32_t header_count_limit = 100;
  std::uint32_t max_connections = 20000;     // of clients, in all
  std::vector<std::string> trusted_proxies;  // addresses, networks: X-Forwarded-For counts
  std::uint32_t header_read_timeout_s = 15;  // for one request, an idle connection, a TLS handshake
  std::uint32_t write_timeout_s = 30;        // a client that does not read is dropped after this
  double stream_comment_grace_s = 2.0;       // how long a waiting stream stays silent
  double stream_comment_interval_s = 10.0;   // then a comment line this often; at most 15
  double shutdown_grace_s = 10.0;            // requests in flight may finish this long
  tls_options tls;
};

// Prefix of the ids under which users are limited and accounted; no key may have it.
inline constexpr std::string_view user_id_prefix = "user:";

// Id of the key under which commands on this machine get in; no configured key may have it.
inline constexpr std::string_view local_key_id = "local";

struct key_options {
  std::string id;
  std::string token;      // exactly one of token, token_env
  std::string token_env;  // resolved into token while loading
  std::vector<std::string> scopes;
  std::vector<std::string> models;  // empty: all
  double weight = 1;                // fair share
  double requests_per_minute = 0;   // 0: no limit, as for the others
  double burst = 10;
  double tokens_per_minute = 0;
  std::uint32_t max_concurrent = 0;
  double tokens_per_day = 0;
};

struct gpu_options {
  std::uint64_t memory = 0;  // bytes
};

enum class driver_kind : std::uint8_t { process, external };
// Whether the gateway asks for the usage of streams whose clients do not. `automatic`: until the
// runtime refuses it.
enum class usage_wish : std::uint8_t { automatic, always, never };
enum class residency : std::uint8_t { pinned, on_demand, exclusive };

struct model_options {
  std::string name;
  std::vector<std::string> aliases;
  driver_kind driver = driver_kind::process;
  std::vector<std::string> command;      // process: argv; {port}, {model}, {data} are replaced
  std::vector<std::string> environment;  // process: NAME=VALUE, added to a minimal environment
  std::string endpoint;                  // external: http[s]://host:port[/path]
  std::string tls_ca;                    // https endpoint: PEM file of authorities to trust, too
  std::string api_key_env;               // resolved into api_key while loading
  std::string api_key;                   // the runtime's, sent as a bearer token; never shown
  std::string upstream_model;            // the name the runtime knows it by; default: name
  std::string health_path = "/health";   // ready when this answers 200
  // Below /upstream/{model}, for the scope realtime; one that ends in /* stands for all below it.
  std::vector<std::string> upstream_paths;
  std::uint64_t gpu_memory = 0;  // bytes on one GPU; 0: needs no GPU
  config::residency residency = residency::on_demand;
  double idle_unload_s = 600;  // 0: never
  std::uint32_t max_concurrent = 10;
  std::uint32_t max_waiting = 100;
  double connection_idle_s = 0.8;  // how long an idle connection to the runtime is kept; 0: not
  double start_timeout_s = 120;    // from spawn to ready
  double stop_grace_s = 10;        // from SIGTERM to SIGKILL
  double drain_timeout_s = 60;     // requests in flight have this long to finish before a stop
  double queue_timeout_s = 300;    // longest wait of a ticket
  double request_timeout_s = 600;  // from permit to the last byte
  double first_byte_timeout_s = 300;
  double stream_idle_timeout_s = 120;  // between two reads of a stream
  double expected_load_s = 10;         // first estimate of the load time, until one is measured
  usage_wish usage_in_streams = usage_wish::automatic;

  bool operator==(const model_options&) const = default;
};

struct scheduling_options {
  double prompt_token_weight = 1;      // weight of a token in the fair share
  double completion_token_weight = 2;  // as in the paper (VTC, OSDI 2024)
  double max_starvation_s = 30;        // after this long a ticket moves up one priority
  double min_residency_s = 5;          // a busy model is not evicted sooner than this
  double max_swap_wait_s = 30;         // longest wait of another model's oldest ticket for its turn
  double yield_grace_s = 60;           // an outside program has this long to give its lease back
  double release_grace_s = 30;         // memory whose release cannot be seen is kept this long
  double load_backoff_s = 1;           // after a failed load; doubles, up to load_backoff_max_s
  double load_backoff_max_s = 60;
  std::uint32_t load_attempts = 3;  // failures in a row until waiting requests are refused
};

struct database_options {
  std::string url;                           // empty: a private cluster in the data folder
  std::uint32_t usage_buffer_rows = 100000;  // kept while the database is away; more are dropped
};

struct security_options {
  std::vector<std::string> anonymous_scopes;  // for requests without a credential; empty: 401
  double rotation_grace_s = 86400;            // how long a rotated key's old secret works
  std::string jwt_secret;                     // signs users' tokens; empty: data_dir/jwt-secret
  std::string jwt_secret_previous;            // accepted too
  double access_token_lifetime_s = 3600;
  double refresh_token_lifetime_s = 7 * 86400.0;
  std::uint32_t login_failures = 5;  // of one account before it has to wait; 0: never
  std::uint32_t login_failures_per_address = 20;
  double user_requests_per_minute = 0;  // for each user; 0: no limit
  double user_burst = 10;
};

struct usage_options {
  std::uint32_t retention_days = 90;
  std::uint32_t clients_per_key = 100;  // counted separately in a day; the rest counts as "other"
};

struct metrics_options {
  bool is_public = false;  // key "public": /metrics without a credential
};

struct cors_options {
  std::vector<std::string> allowed_origins;  // scheme://host[:port], or "*"; none: no CORS
  std::uint32_t max_age_s = 600;             // how long a browser may keep a preflight's answer
};

struct log_options {
  std::string level = "info";                    // trace | debug | info | warn | error
  std::string requests;                          // file, "-" for standard output; empty: none
  std::uint64_t requests_max_bytes = 100 * mib;  // size at which the next file begins
  std::uint32_t requests_files = 5;              // older files to keep
};

enum class trainer_driver : std::uint8_t { docker, process };
enum class trainer_status_format : std::uint8_t { json, heartbeat };
enum class trainer_signal : std::uint8_t { term, interrupt, quit, hangup, user1, user2 };

struct tensorboard_options {
  std::string container = "lentmiienlm-tensorboard";
  std::string url = "http://127.0.0.1:6006";
};

struct training_options {
  bool is_configured = false;  // by a section `training`, or a variable of one of these options
  trainer_driver driver = trainer_driver::docker;
  std::string container = "lentmiienlm-train";  // docker: the user's own
  std::vector<std::string> command;             // process: argv; {data} is replaced
  std::vector<std::string> environment;         // process: NAME=VALUE
  std::string checkpoints_dir = "lentmiien-lm/checkpoints";
  std::string status_file = "status.json";  // in each checkpoint's folder
  trainer_status_format status_format = trainer_status_format::json;
  double poll_s = 5;              // between two looks at status and trainer
  double frozen_timeout_s = 300;  // above poll_s
  double cooldown_s = 600;
  trainer_signal stop_signal = trainer_signal::term;
  double stop_grace_s = 20;  // from the stop signal to SIGKILL
  trainer_signal checkpoint_signal = trainer_signal::user1;
  double checkpoint_wait_s = 0;  // from that signal to the stop; 0: it is not sent
  double start_timeout_s = 60;   // until it is seen to run
  double backoff_s = 10;         // after a failure; doubles, up to backoff_max_s
  double backoff_max_s = 600;
  bool over_pinned = false;      // pinned models that are idle may be evicted
  std::uint64_t gpu_memory = 0;  // bytes on each of its GPUs; 0: all
  std::uint32_t gpu_count = 0;   // 0: all
  tensorboard_options tensorboard;
};

struct settings {
  server_options server;
  std::vector<key_options> keys;
  std::vector<gpu_options> gpus;
  std::vector<model_options> models;
  scheduling_options scheduling;
  database_options database;
  security_options security;
  usage_options usage;
  metrics_options metrics;
  cors_options cors;
  log_options log;
  training_options training;
  std::string data_dir = "data";
};

}  // namespace signalbox::config
