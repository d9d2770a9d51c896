#include "config/schema.hpp"
#include "config/schema_row.hpp"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace signalbox::config {
namespace {

void add_server(std::vector<option>& out) {
  using t = server_options;
  out.push_back(row(
      "server.listen", &t::listen, 1, 16,
      "Addresses to serve on: ADDRESS:PORT, [IPv6]:PORT, localhost:PORT; port 0 takes a free one. "
      "With https:// before it, over TLS.",
      {.variable = "SIGNALBOX_LISTEN"}));
  out.push_back(row("server.tls.certificate", &tls_options::certificate, 0, text_bytes,
                    "PEM file with the certificate of the https:// addresses, followed by its "
                    "chain up to one that clients trust. Read again at a reload.",
                    {.variable = "SIGNALBOX_TLS_CERTIFICATE"}));
  out.push_back(row("server.tls.private_key", &tls_options::private_key, 0, text_bytes,
                    "PEM file with the certificate's private key, not encrypted.",
                    {.variable = "SIGNALBOX_TLS_PRIVATE_KEY"}));
  out.push_back(row("server.shards", &t::shards, 0, 256,
                    "Threads that serve requests; 0 takes one for each core, at most 8.",
                    {.variable = "SIGNALBOX_SHARDS"}));
  out.push_back(row("server.body_limit", &t::body_limit, kib, gib,
                    "Largest body of an inference request; a larger one is answered with 413."));
  out.push_back(row("server.body_memory", &t::body_memory, 0, 1024 * gib,
                    "Memory for the bodies of all requests, until they are answered, at least "
                    "body_limit; past it new requests get 503. 0 takes an eighth of the machine's "
                    "memory, or body_limit if that is more."));
  out.push_back(row("server.response_limit", &t::response_limit, kib, gib,
                    "Largest answer of a runtime that is not streamed."));
  out.push_back(row("server.header_limit", &t::header_limit, kib, mib,
                    "Largest single request header field.", {.bytes = true}));
  out.push_back(row("server.header_count_limit", &t::header_count_limit, 10, 1000,
                    "Most header fields in one request."));
  out.push_back(row("server.max_connections", &t::max_connections, 1, 1000000,
                    "Most client connections; fewer when the limit of open files asks for it."));
  out.push_back(row("server.trusted_proxies", &t::trusted_proxies, 0, 100,
                    "Addresses and networks (10.0.0.0/8) of proxies. For what comes through them "
                    "the client is whom X-Forwarded-For names: in the request log, and where "
                    "failed logins are counted. Nobody else's X-Forwarded-For is believed."));
  out.push_back(row("server.header_read_timeout_s", &t::header_read_timeout_s, 1, 3600,
                    "Time for a client to send one request or to finish a TLS handshake; an idle "
                    "connection is kept as long."));
  out.push_back(row("server.write_timeout_s", &t::write_timeout_s, 1, 3600,
                    "Time after which a client that does not read its answer is dropped."));
  out.push_back(row("server.stream_comment_grace_s", &t::stream_comment_grace_s, 0, 60,
                    "Time a waiting stream stays silent before it gets its first comment line."));
  out.push_back(
      row("server.stream_comment_interval_s", &t::stream_comment_interval_s, 0.1, 15,
          "Time between comment lines of a waiting stream; most clients give up after 15 to 30."));
  out.push_back(
      row("server.shutdown_grace_s", &t::shutdown_grace_s, 0, 3600,
          "Time that requests in flight have to finish when the program is asked to stop."));
}

void add_keys_and_gpus(std::vector<option>& out) {
  using k = key_options;
  out.push_back(row("keys[].id", &k::id, 1, name_bytes,
                    "Name of the key in usage records and logs; unique.", {.required = true}));
  out.push_back(row(
      "keys[].token", &k::token, 16, 512,
      "The secret that clients send, visible ASCII. Exactly one of token and token_env is given.",
      {.secret = true}));
  out.push_back(
      row("keys[].token_env", &k::token_env, 1, name_bytes,
          "Environment variable that holds the token, to keep secrets out of this file."));
  out.push_back(row(
      "keys[].scopes", &k::scopes, 1, 6, "Scopes of the key; admin includes all the others.",
      {.words = {"realtime", "batch", "eval", "upload", "monitor", "admin"}, .required = true}));
  out.push_back(
      row("keys[].models", &k::models, 0, 1000, "Models that the key may use; when empty, all."));
  out.push_back(row("keys[].weight", &k::weight, 0.01, 1000,
                    "Its share of a busy model, next to the weights of others."));
  out.push_back(row("keys[].limits.requests_per_minute", &k::requests_per_minute, 0, 1e9,
                    "Requests a minute; 0 sets no limit. Less than one a day counts as one."));
  out.push_back(row("keys[].limits.burst", &k::burst, 0, 1e9,
                    "Requests at once after a pause, when requests_per_minute is set."));
  out.push_back(row("keys[].limits.tokens_per_minute", &k::tokens_per_minute, 0, 1e9,
                    "Tokens of prompts and answers a minute; 0 sets no limit."));
  out.push_back(row("keys[].limits.max_concurrent", &k::max_concurrent, 0, 1e6,
                    "Inference requests at once, waiting or running; 0 sets no limit."));
  out.push_back(row("keys[].limits.tokens_per_day", &k::tokens_per_day, 0, 1e15,
                    "Tokens a day (UTC); 0 sets no limit."));
  out.push_back(row("gpus[].memory", &gpu_options::memory, mib, 1024.0 * 1024 * gib,
                    "Memory of this GPU that models may use.", {.required = true}));
}

void add_security(std::vector<option>& out) {
  using t = security_options;
  out.push_back(row("security.anonymous_scopes", &security_options::anonymous_scopes, 0, 5,
                    "Scopes of requests without a credential; when empty, these are refused.",
                    {.words = {"realtime", "batch", "eval", "upload", "monitor"}}));
  out.push_back(row(
      "security.rotation_grace_s", &t::rotation_grace_s, 0, 30 * day_s,
      "How long the old secret of a rotated key works, unless the rotation sets another time."));
  out.push_back(row("security.jwt_secret", &t::jwt_secret, 0, 512,
                    "Secret that signs the tokens of users, at least 32 bytes; when empty, one is "
                    "made at the first start and kept in the data folder.",
                    {.variable = "SIGNALBOX_JWT_SECRET", .secret = true}));
  out.push_back(row("security.jwt_secret_previous", &t::jwt_secret_previous, 0, 512,
                    "The previous secret: tokens that it signed are valid until they expire.",
                    {.variable = "SIGNALBOX_JWT_SECRET_PREVIOUS", .secret = true}));
  out.push_back(row("security.access_token_lifetime_s", &t::access_token_lifetime_s, 1, 30 * day_s,
                    "How long a user's access token is valid."));
  out.push_back(row("security.refresh_token_lifetime_s", &t::refresh_token_lifetime_s, 1,
                    365 * day_s,
                    "How long a refresh token may be exchanged; at least "
                    "access_token_lifetime_s."));
  out.push_back(row("security.login_failures", &t::login_failures, 0, 1000000,
                    "Failed logins of one account after which the next has to wait: a second at "
                    "first, twice as long with each failure, up to a minute; 0 never."));
  out.push_back(row("security.login_failures_per_address", &t::login_failures_per_address, 0,
                    1000000,
                    "The same for one client address. Behind a proxy set server.trusted_proxies, "
                    "or all clients have one address."));
  out.push_back(row("security.user_requests_per_minute", &t::user_requests_per_minute, 0, 1e9,
                    "Requests a minute of each user; 0 sets no limit."));
  out.push_back(row("security.user_burst", &t::user_burst, 0, 1e9,
                    "A user's requests at once after a pause, when user_requests_per_minute is "
                    "set."));
}

void add_request_log(std::vector<option>& out) {
  using t = log_options;
  out.push_back(row("log.requests", &t::requests, 0, text_bytes,
                    "File that gets one line of JSON for each answered request, without bodies "
                    "and credentials; in the data folder when it is no absolute path, - for "
                    "standard output; when empty, there is none.",
                    {.variable = "SIGNALBOX_LOG_REQUESTS"}));
  out.push_back(row("log.requests_max_bytes", &t::requests_max_bytes, mib, 1024.0 * gib,
                    "Size at which the next file of the request log begins."));
  out.push_back(row("log.requests_files", &t::requests_files, 1, 1000,
                    "Most files of the request log that are kept beside the newest."));
}

void add_the_rest(std::vector<option>& out) {
  using t = scheduling_options;
  out.push_back(row("scheduling.prompt_token_weight", &t::prompt_token_weight, 0.001, 1000,
                    "Weight of a prompt token in the fair share between keys."));
  out.push_back(row("scheduling.completion_token_weight", &t::completion_token_weight, 0.001, 1000,
                    "Weight of a generated token in the fair share between keys."));
  out.push_back(row("scheduling.max_starvation_s", &t::max_starvation_s, 0.1, day_s,
                    "A request that waited this long moves up one priority."));
  out.push_back(row(
      "scheduling.min_residency_s", &t::min_residency_s, 0, day_s,
      "A model with work in flight keeps its GPU at least this long; at most max_swap_wait_s."));
  out.push_back(row(
      "scheduling.max_swap_wait_s", &t::max_swap_wait_s, 0.1, day_s,
      "Longest time that requests for one model wait while another one with work holds the GPU."));
  out.push_back(row("scheduling.yield_grace_s", &t::yield_grace_s, 1, day_s,
                    "Time that an outside program has to give its lease back, once it is asked."));
  out.push_back(row("scheduling.release_grace_s", &t::release_grace_s, 1, day_s,
                    "Memory of an outside lease that nobody released stays taken this long."));
  out.push_back(row("scheduling.load_backoff_s", &t::load_backoff_s, 0.01, 3600,
                    "Pause after a failed load; doubles with each failure in a row."));
  out.push_back(row("scheduling.load_backoff_max_s", &t::load_backoff_max_s, 0.01, day_s,
                    "Longest pause after a failed load; at least load_backoff_s."));
  out.push_back(row("scheduling.load_attempts", &t::load_attempts, 1, 1000,
                    "Failed loads in a row until waiting requests are refused."));
  out.push_back(row("database.url", &database_options::url, 0, text_bytes,
                    "PostgreSQL connection URL; when empty, a private cluster in the data folder.",
                    {.variable = "DATABASE_URL", .secret = true}));
  out.push_back(
      row("database.usage_buffer_rows", &database_options::usage_buffer_rows, 1000, 1e7,
          "Usage records kept while the database is away; more are dropped, counted and logged."));
  add_security(out);
  out.push_back(row("usage.retention_days", &usage_options::retention_days, 1, 3650,
                    "Usage is kept at least this many days; it goes by whole months."));
  out.push_back(row("usage.clients_per_key", &usage_options::clients_per_key, 0, 10000,
                    "Most clients (X-Client-ID) of a key that are counted separately in a day; "
                    "others count as 'other'."));
  out.push_back(row("metrics.public", &metrics_options::is_public, 0, 0,
                    "Serve /metrics without a credential.",
                    {.variable = "SIGNALBOX_METRICS_PUBLIC"}));
  out.push_back(row("cors.allowed_origins", &cors_options::allowed_origins, 0, 100,
                    "Origins whose pages may call this API from a browser, such as "
                    "https://chat.example.org, or * for all; when empty, browsers allow none."));
  out.push_back(row("cors.max_age_s", &cors_options::max_age_s, 0, day_s,
                    "How long a browser may keep the answer to a preflight."));
  out.push_back(row(
      "log.level", &log_options::level, 0, 0, "Least severe messages to log.",
      {.words = {"trace", "debug", "info", "warn", "error"}, .variable = "SIGNALBOX_LOG_LEVEL"}));
  add_request_log(out);
  add_training_options(out);
  out.push_back(
      row("data_dir", &settings::data_dir, 1, text_bytes,
          "Folder for everything the program keeps: the private database and its log, the "
          "digest of the admin key, the secret that signs users' tokens.",
          {.variable = "SIGNALBOX_DATA_DIR"}));
}

template <class T>
section list_section(std::string path, std::string description, std::size_t max_elements,
                     std::vector<T> settings::*member) {
  return {std::move(path), std::move(description), max_elements,
          [member](settings& s, std::size_t n) { (s.*member).resize(n); },
          [member](const settings& s) { return (s.*member).size(); }};
}

bool is_child(std::string_view path, std::string_view section_path, std::string_view& rest) {
  if (!path.starts_with(section_path)) return false;
  rest = path.substr(section_path.size());
  if (section_path.empty()) return true;
  if (!rest.starts_with('.')) return false;
  rest.remove_prefix(1);
  return true;
}

}  // namespace

const std::vector<option>& options() {
  static const std::vector<option> table = [] {
    std::vector<option> out;
    add_server(out);
    add_keys_and_gpus(out);
    add_model_options(out);
    add_the_rest(out);
    return out;
  }();
  return table;
}

const std::vector<section>& sections() {
  static const std::vector<section> table{
      {"server", "The HTTP server and its limits."},
      {"server.tls", "The certificate of the https:// addresses."},
      list_section("keys[]", "API keys. None: an admin key is made at the first start.", 10000,
                   &settings::keys),
      {"keys[].limits", "Limits of the key."},
      list_section("gpus[]", "The GPUs that models may use.", 64, &settings::gpus),
      list_section("models[]", "The models that clients may ask for.", 1000, &settings::models),
      {"models[].gpu", "GPU memory that the model takes."},
      {"scheduling", "Order of waiting requests, and turns of models on a GPU."},
      {"database", "Where usage and crashes are kept."},
      {"security", "Credentials and logins."},
      {"usage", "Usage records."},
      {"metrics", "The Prometheus endpoint."},
      {"cors", "Access for browser pages of other origins."},
      {"log", "The program's own log, and one of all requests."},
      {"training", "The trainer that has the GPUs while no request needs them. None: no training."},
      {"training.gpu", "GPU memory that the trainer takes."},
      {"training.tensorboard", "TensorBoard, which the gateway passes on."},
  };
  return table;
}

const option* find_option(std::string_view path) {
  auto found = std::find_if(options().begin(), options().end(),
                            [&](const option& o) { return o.path == path; });
  return found == options().end() ? nullptr : &*found;
}

const section* find_section(std::string_view path) {
  auto found = std::find_if(sections().begin(), sections().end(),
                            [&](const section& s) { return s.path == path; });
  return found == sections().end() ? nullptr : &*found;
}

const section* list_of(const option& o) {
  auto bracket = o.path.find("[]");
  if (bracket == std::string::npos) return nullptr;
  return find_section(std::string_view(o.path).substr(0, bracket + 2));
}

std::string element_path(const option& o, std::size_t index) {
  std::string path = o.path;
  auto bracket = path.find("[]");
  if (bracket != std::string::npos) path.insert(bracket + 1, std::to_string(index));
  return path;
}

std::vector<std::string> keys_under(std::string_view section_path) {
  std::vector<std::string> keys;
  for (const option& o : options()) {
    std::string_view rest;
    if (!is_child(o.path, section_path, rest)) continue;
    std::string key(rest.substr(0, rest.find_first_of(".[")));
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace signalbox::config
