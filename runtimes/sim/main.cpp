// signalbox-sim-runtime: behaves like a model server, with declared speeds and faults on demand.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <map>

#include "runtimes/sim/server.hpp"

namespace {

using namespace signalbox::sim;

constexpr unsigned left_child_life_s = 600;  // bounds the life of a child that is never killed

// Leaves a process behind in a session of its own, as a careless worker would.
void leave_child() {
  if (fork() != 0) return;
  setsid();
  alarm(left_child_life_s);
  for (;;) pause();
}

void declare(CLI::App& app, sim_options& o, std::vector<std::string>& faults) {
  const std::map<std::string, load_mode> load_modes{{"refuse", load_mode::refuse},
                                                    {"503", load_mode::unavailable}};
  const std::map<std::string, usage_mode> usage_modes{{"always", usage_mode::always},
                                                      {"asked", usage_mode::asked},
                                                      {"finish_chunk", usage_mode::finish_chunk},
                                                      {"never", usage_mode::never}};
  app.option_defaults()->always_capture_default();
  app.add_option("--host", o.host, "address to listen on");
  app.add_option("--port", o.port, "port; 0 takes a free one and prints it");
  app.add_option("--model", o.model, "name of the model it pretends to be");
  app.add_flag("--any-model", o.any_model, "answer for every model name");
  app.add_option("--load-time", o.load_time_s, "seconds until it is ready")
      ->check(CLI::Range(0.0, 86400.0));
  app.add_option("--load-mode", o.load_mode, "until then: refuse connections, or answer 503")
      ->transform(CLI::CheckedTransformer(load_modes).description("refuse|503"))
      ->default_str("refuse");
  app.add_option("--prefill-tps", o.prefill_tps, "prompt tokens a second; 0: at once")
      ->check(CLI::Range(0.0, 1e9));
  app.add_option("--decode-tps", o.decode_tps, "tokens a second of each stream; 0: at once")
      ->check(CLI::Range(0.0, 1e9));
  app.add_option("--slots", o.slots, "requests that run at once")->check(CLI::Range(1, 100000));
  app.add_option("--max-waiting", o.max_waiting, "requests that wait for a slot; more get 503")
      ->check(CLI::Range(0, 100000));
  app.add_option(
         "--threads", o.threads,
         "connections that are served at once, as with a thread for each: others wait until "
         "one is closed; 0: all")
      ->check(CLI::Range(0, 20000));
  app.add_flag("--nagle", o.nagle,
               "leave Nagle's algorithm on, and send the head of an answer before its body");
  app.add_option("--memory", o.memory_bytes, "GPU memory it pretends to use; only reported")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--default-tokens", o.default_tokens, "length when the request gives none")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--embedding-dim", o.embedding_dim, "dimension of embeddings")
      ->check(CLI::Range(1, 8192));
  app.add_option("--body-limit", o.body_limit, "largest request body")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--usage", o.usage,
                 "how streams tell usage: in a chunk of its own if asked or always, in the chunk "
                 "with finish_reason, or never")
      ->transform(
          CLI::CheckedTransformer(usage_modes).description("asked|always|finish_chunk|never"))
      ->default_str("asked");
  app.add_option("--fault", faults, "misbehave on purpose; see below")
      ->allow_extra_args(false)
      ->default_str("");
  app.add_flag("--request-faults", o.request_faults,
               "heed the header x-sim-fault: then every client can make it fail");
}

}  // namespace

int main(int argc, char** argv) {
  sim_options options;
  std::vector<std::string> faults;
  CLI::App app(
      "A simulation of a model runtime that speaks OpenAI's, Anthropic's and Ollama's APIs, with\n"
      "declared speeds.\n"
      "Prompt tokens are counted as words; a completion token is one word. The integers\n"
      "sim_prompt_tokens and sim_completion_tokens in a request's body overrule both;\n"
      "max_tokens, by the name that the API has for it, is kept, and without\n"
      "sim_completion_tokens used in full.");
  declare(app, options, faults);
  app.footer(fault_help());
  CLI11_PARSE(app, argc, argv);
  for (const auto& text : faults) {
    if (const auto problem = options.faults.add(text, false)) {
      std::fprintf(stderr, "--fault %s: %s\n", text.c_str(), problem->c_str());
      return 2;
    }
  }
  if (options.faults.has(fault::fail_start)) {
    std::fputs("error: simulated failure to start\n", stderr);
    return 3;
  }
  rlimit files{};  // one descriptor for each stream
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  if (options.faults.has(fault::leave_child)) leave_child();
  return run_server(options);
}
