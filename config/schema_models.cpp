// The options of a model.
#include "config/schema_row.hpp"

namespace signalbox::config {
namespace {

void add_models(std::vector<option>& out) {
  using t = model_options;
  out.push_back(row("models[].name", &t::name, 1, name_bytes,
                    "Name that clients ask for; unique among all names and aliases.",
                    {.required = true}));
  out.push_back(row("models[].aliases", &t::aliases, 0, 100, "Other names of the same model."));
  out.push_back(
      row("models[].driver", &t::driver, 0, 0,
          "process: the gateway starts and stops the runtime; external: it already runs elsewhere.",
          {.words = driver_words}));
  out.push_back(
      row("models[].command", &t::command, 0, 1000,
          "Program and arguments (driver process); {port}, {model} and {data} are replaced.",
          {.multiline = true}));
  out.push_back(
      row("models[].environment", &t::environment, 0, 1000,
          "NAME=VALUE entries added to the runtime's minimal environment (driver process).",
          {.multiline = true}));
  out.push_back(row("models[].endpoint", &t::endpoint, 0, text_bytes,
                    "Where the runtime answers (driver external): http://HOST:PORT or "
                    "https://HOST[:PORT], with the path that is put before all others, if any."));
  out.push_back(row("models[].tls_ca", &t::tls_ca, 0, text_bytes,
                    "PEM file of authorities that may have signed the certificate of an https:// "
                    "endpoint, beside those that the system trusts."));
  out.push_back(row("models[].api_key_env", &t::api_key_env, 0, name_bytes,
                    "Environment variable with the key that the runtime wants, which is sent as "
                    "Authorization: Bearer; when empty, none is sent."));
  out.push_back(row("models[].upstream_model", &t::upstream_model, 0, name_bytes,
                    "Name that the runtime knows the model by; when empty, the model's name."));
  out.push_back(row("models[].health_path", &t::health_path, 1, text_bytes,
                    "Path that answers 200 once the runtime is ready."));
  out.push_back(row("models[].upstream_paths", &t::upstream_paths, 0, 100,
                    "Paths at the runtime that keys with the scope realtime may use by "
                    "/upstream/{model}/{path}; one that ends in /* stands for all below it. Other "
                    "paths want the scope admin."));
  out.push_back(row("models[].gpu.memory", &t::gpu_memory, 0, 1024.0 * 1024 * gib,
                    "GPU memory that the model takes, on one GPU; 0: it needs no GPU."));
  out.push_back(
      row("models[].residency", &t::residency, 0, 0,
          "pinned: always loaded; on_demand: loaded on request; exclusive: alone on the machine.",
          {.words = residency_words}));
  out.push_back(row("models[].idle_unload_s", &t::idle_unload_s, 0, 365 * day_s,
                    "An on_demand model without a request for this long is unloaded; 0 never. "
                    "Ollama's clients may say another time (keep_alive)."));
  out.push_back(row("models[].max_concurrent", &t::max_concurrent, 1, 65536,
                    "Most requests in flight at the runtime."));
  out.push_back(
      row("models[].max_waiting", &t::max_waiting, 0, 1000000,
          "Most requests that wait; past it they are answered with 503 and Retry-After."));
  out.push_back(row("models[].usage_in_streams", &t::usage_in_streams, 0, 0,
                    "Ask the runtime for the usage of streams, for accounting: auto (until it "
                    "refuses), always, never.",
                    {.words = usage_words}));
  out.push_back(row("models[].connection_idle_s", &t::connection_idle_s, 0, 3600,
                    "How long a connection to the runtime is kept without a request, unless the "
                    "runtime promises another time (Keep-Alive: timeout=); 0 keeps none."));
}

void add_model_times(std::vector<option>& out) {
  using t = model_options;
  out.push_back(row("models[].start_timeout_s", &t::start_timeout_s, 0.1, day_s,
                    "Time the runtime has from its start until it is ready."));
  out.push_back(
      row("models[].stop_grace_s", &t::stop_grace_s, 0, 3600, "Time between SIGTERM and SIGKILL."));
  out.push_back(row("models[].drain_timeout_s", &t::drain_timeout_s, 0, day_s,
                    "Time that requests in flight have to finish before the runtime is stopped."));
  out.push_back(row("models[].queue_timeout_s", &t::queue_timeout_s, 0.1, day_s,
                    "Longest time that a request waits for its turn."));
  out.push_back(row("models[].request_timeout_s", &t::request_timeout_s, 0.1, day_s,
                    "Longest time from a request's turn to the last byte of its answer."));
  out.push_back(row("models[].first_byte_timeout_s", &t::first_byte_timeout_s, 0.1, day_s,
                    "Longest time from a request's turn to the first byte of its answer; at most "
                    "request_timeout_s."));
  out.push_back(row("models[].stream_idle_timeout_s", &t::stream_idle_timeout_s, 0.1, day_s,
                    "Longest silence inside a streamed answer; at most request_timeout_s."));
  out.push_back(
      row("models[].expected_load_s", &t::expected_load_s, 0, day_s,
          "First estimate of the load time, until it is measured; at most start_timeout_s."));
}

}  // namespace

void add_model_options(std::vector<option>& out) {
  add_models(out);
  add_model_times(out);
}

}  // namespace signalbox::config
