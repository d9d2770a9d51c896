// signalbox-stream-load: opens many streamed chat completions of a simulated runtime at once and
// measures how long each event took to arrive, from the moment that the runtime sent it.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "bench/chat_events.hpp"
#include "bench/http_client.hpp"
#include "bench/statistics.hpp"

namespace signalbox::bench {
namespace {

struct load_options {
  std::string url, key = "none", model = "sim", json_file;
  std::uint32_t streams = 1000, tokens = 500;
  double ramp_s = 2, timeout_s = 120;
};

// The results of all streams. Delays count only while every stream is open: from the first event of
// the last stream to the end of the first one.
struct tally {
  std::uint32_t streams = 0, started = 0, flowing = 0, ended = 0, incomplete = 0;
  std::uint64_t events = 0, out_of_order = 0, texts = 0;
  std::map<std::string, std::uint32_t> errors;  // by kind
  std::string text;                             // of the first whole stream; all must equal it
  std::vector<std::uint32_t> delays_ns;
  steady::time_point all_flowing, first_end;
  chat_reader reader;  // shared: one thread

  bool measuring() const { return flowing == streams && ended == 0; }
};

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(steady::now().time_since_epoch())
      .count();
}

class stream : public exchange_listener {
 public:
  stream(tally& all, std::uint32_t tokens) : all_(all), tokens_(tokens) {}

  void status(int code) override { status_ = code; }

  void body(std::string_view bytes) override {
    const std::int64_t received_ns = now_ns();
    splitter_.add(bytes);
    while (const auto data = splitter_.next()) event(*data, received_ns);
  }

  void ended(exchange_end end) override {
    if (all_.ended++ == 0) all_.first_end = steady::now();
    if (end != exchange_end::complete) {
      fail(to_string(end));
    } else if (status_ != 200) {
      fail("HTTP " + std::to_string(status_));
    } else if (garbage_) {
      fail("an event that is no chat chunk");
    } else if (!done_ || texts_ != tokens_) {
      fail("tokens or the end missing");
    } else if (all_.text.empty()) {
      all_.text = text_;
    } else if (text_ != all_.text) {
      fail("not the same text as the first stream");
    }
  }

 private:
  void event(std::string_view data, std::int64_t received_ns) {
    if (data == "[DONE]") {
      done_ = true;
      return;
    }
    const auto chunk = all_.reader.read(data);
    if (!chunk || chunk->sent_ns == 0) {
      garbage_ = true;
      return;
    }
    if (last_sent_ns_ == 0 && ++all_.flowing == all_.streams) all_.all_flowing = steady::now();
    if (chunk->sent_ns < last_sent_ns_) ++all_.out_of_order;
    last_sent_ns_ = chunk->sent_ns;
    ++all_.events;
    if (!chunk->text.empty()) {
      ++texts_;
      ++all_.texts;
      text_ += chunk->text;
    }
    if (!all_.measuring()) return;
    const std::int64_t max_delay_ns = std::numeric_limits<std::uint32_t>::max();
    all_.delays_ns.push_back(static_cast<std::uint32_t>(
        std::clamp<std::int64_t>(received_ns - chunk->sent_ns, 0, max_delay_ns)));
  }

  void fail(const std::string& kind) {
    ++all_.incomplete;
    ++all_.errors[kind];
  }

  tally& all_;
  const std::uint32_t tokens_;
  event_splitter splitter_;
  int status_ = 0;
  bool done_ = false, garbage_ = false;
  std::uint32_t texts_ = 0;
  std::string text_;
  std::int64_t last_sent_ns_ = 0;
};

// Starts the streams evenly over the ramp: streams opened all at once would keep sending in step.
class starter {
 public:
  starter(asio::io_context& io, const load_options& options, tally& all)
      : io_(io), timer_(io), options_(options), all_(all), to_(parse_target(options.url)) {
    const nlohmann::json body{
        {"model", options.model}, {"messages", {{{"role", "user"}, {"content", "Count."}}}},
        {"stream", true},         {"max_tokens", options.tokens},
        {"sim_prompt_tokens", 1}, {"sim_completion_tokens", options.tokens}};
    request_ = post_request(to_, "/v1/chat/completions", options.key, body.dump());
  }

  void run() {
    const auto gap = from_seconds(options_.ramp_s / options_.streams);
    const auto elapsed = steady::now() - begin_;
    while (all_.started < options_.streams && gap * all_.started <= elapsed) {
      ++all_.started;
      std::make_shared<http_connection>(io_, to_.address)
          ->start(request_, std::make_shared<stream>(all_, options_.tokens),
                  from_seconds(options_.timeout_s));
    }
    if (all_.started == options_.streams) return;
    timer_.expires_after(std::chrono::milliseconds(1));
    timer_.async_wait([this](const boost::system::error_code&) { run(); });
  }

 private:
  asio::io_context& io_;
  asio::steady_timer timer_;
  const load_options& options_;
  tally& all_;
  const target to_;
  std::string request_;
  const steady::time_point begin_ = steady::now();
};

void allow_connections(std::uint32_t wanted) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < wanted + 64) {
    throw std::runtime_error("only " + std::to_string(limit.rlim_cur) +
                             " open files are allowed here (ulimit -n)");
  }
}

nlohmann::json run(const load_options& options) {
  allow_connections(options.streams);
  asio::io_context io(1);
  tally all;
  all.streams = options.streams;
  all.delays_ns.reserve(std::size_t{options.streams} * options.tokens);
  starter starts(io, options, all);
  starts.run();
  io.run();
  const double window_s = to_seconds(all.first_end - all.all_flowing);
  return {{"streams", options.streams},
          {"tokens", options.tokens},
          {"texts_expected", std::uint64_t{options.streams} * options.tokens},
          {"texts", all.texts},
          {"events", all.events},
          {"text_hash", std::hash<std::string>{}(all.text)},
          {"out_of_order", all.out_of_order},
          {"incomplete_streams", all.incomplete},
          {"errors", all.errors},
          {"window_s", all.delays_ns.empty() ? 0 : window_s},
          {"delay_ms", summary(all.delays_ns, 1e-6)}};
}

}  // namespace
}  // namespace signalbox::bench

int main(int argc, char** argv) {
  signalbox::bench::load_options options;
  CLI::App app{"Many concurrent streams from a simulated runtime: delay of each event, and losses"};
  app.add_option("--url", options.url, "http://host:port")->required();
  app.add_option("--key", options.key, "API key")->envname("SIGNALBOX_KEY");
  app.add_option("--model", options.model);
  app.add_option("--streams", options.streams)->check(CLI::Range(1, 15000));
  app.add_option("--tokens", options.tokens, "of each stream")->check(CLI::Range(1, 20000));
  app.add_option("--ramp", options.ramp_s, "seconds over which the streams start")
      ->check(CLI::Range(0.0, 600.0));
  app.add_option("--timeout", options.timeout_s, "seconds for one stream")
      ->check(CLI::Range(0.1, 3600.0));
  app.add_option("--json", options.json_file, "write the result here too");
  CLI11_PARSE(app, argc, argv);
  try {
    const auto result = signalbox::bench::run(options);
    std::cout << result.dump(2) << std::endl;
    if (!options.json_file.empty()) std::ofstream(options.json_file) << result.dump(2) << '\n';
    const bool whole = result["incomplete_streams"] == 0 && result["out_of_order"] == 0;
    if (result["delay_ms"]["count"] == 0) {
      std::cerr << "no event while all streams were open: more --tokens or a shorter --ramp\n";
      return 1;
    }
    return whole ? 0 : 1;
  } catch (const std::exception& error) {
    std::cerr << "signalbox-stream-load: " << error.what() << '\n';
    return 1;
  }
}
