#include "bench/wrk.hpp"

#include <sstream>

namespace signalbox::bench {

wrk_result run_wrk(const workbench& bench, const contender& way, const chat_load& load,
                   int connections, int seconds) {
  static int runs = 0;
  check_answer(bench, way, load);
  const double cpu_before = way.process ? cpu_seconds(way.process->pid()) : 0;
  const auto count = std::to_string(connections);
  child_process wrk(
      {"wrk", "--threads", "1", "--connections", count, "--duration", std::to_string(seconds) + "s",
       "--timeout", "10s", "--script", bench.folder() / "wrk.lua", way.url + "/v1/chat/completions",
       "--", way.key(bench), load.request_file},
      bench.folder() / ("wrk-" + std::to_string(++runs) + ".log"));
  const auto status = wrk.wait(std::chrono::seconds(seconds + 30));
  const double cpu_after = way.process ? cpu_seconds(way.process->pid()) : 0;
  check_answer(bench, way, load);

  const std::string output = wrk.output();
  std::istringstream words(output.substr(std::min(output.size(), output.find("result "))));
  std::string word;
  double requests = 0, duration_us = 0, bad_status = 0, failed = 0;
  wrk_result result;
  words >> word >> requests >> duration_us >> bad_status >> failed >> result.p50_us >>
      result.p99_us;
  if (status != 0 || !words || requests < 1 || duration_us < 1) {
    throw std::runtime_error("wrk failed against " + way.name + ":\n" + output);
  }
  if (bad_status > 0 || failed > 0) {
    throw std::runtime_error(way.name + " with " + count +
                             " connections: " + std::to_string(static_cast<long>(bad_status)) +
                             " answers with an error status and " +
                             std::to_string(static_cast<long>(failed)) +
                             " connection errors or time-outs");
  }
  result.requests_per_s = requests / duration_us * 1e6;
  result.cpu_us_per_request = (cpu_after - cpu_before) / requests * 1e6;
  return result;
}

}  // namespace signalbox::bench
