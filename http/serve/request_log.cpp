#include "http/serve/request_log.hpp"

#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "system/private_file.hpp"
#include "text/rfc3339.hpp"

namespace signalbox::http {

namespace {

constexpr std::size_t queue_lines = 8192;
constexpr auto told_gap = std::chrono::seconds(10);  // between two errors in the program's log

double ms(duration d) {
  return static_cast<double>(std::chrono::duration_cast<std::chrono::microseconds>(d).count()) /
         1000;
}

spdlog::sink_ptr make_sink(const config::log_options& options, const std::string& data_dir) {
  if (options.requests == "-") return std::make_shared<spdlog::sinks::stdout_sink_mt>();
  // An absolute path replaces the data folder.
  const auto path = std::filesystem::path(data_dir) / options.requests;
  spdlog::file_event_handlers handlers;
  handlers.before_open = make_group_file;
  try {
    return std::make_shared<spdlog::sinks::rotating_file_sink_mt>(
        path.string(), options.requests_max_bytes, options.requests_files, false, handlers);
  } catch (const spdlog::spdlog_ex& e) {
    throw std::runtime_error("cannot write the request log: " + std::string(e.what()));
  }
}

std::string line_of(const request_record& record) {
  nlohmann::ordered_json line{{"time", rfc3339(std::chrono::system_clock::now())},
                              {"request_id", record.request_id},
                              {"address", record.address}};
  const auto text = [&line](const char* name, std::string_view value) {
    if (!value.empty()) line[name] = value;
  };
  text("key", record.key_id);
  text("client", record.client_id);
  line["method"] = record.method;
  text("route", record.route);
  line["status"] = record.status;
  line["duration_ms"] = ms(record.took);
  if (const auto& inference = record.inference) {
    line["model"] = inference->model;
    line["stream"] = inference->stream;
    line["outcome"] = inference->outcome;
    line["queue_ms"] = ms(inference->queued);
    line["prompt_tokens"] = inference->usage.prompt_tokens;
    line["completion_tokens"] = inference->usage.completion_tokens;
    line["cached_tokens"] = inference->usage.cached_tokens;
    line["reasoning_tokens"] = inference->usage.reasoning_tokens;
    line["estimated"] = inference->usage.estimated > 0;
  }
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

struct request_log::state {
  // Called on the writer's thread when a line could not be written; all later lines may fail too.
  void on_error(const std::string& what) {
    failed.fetch_add(1, std::memory_order_relaxed);
    const auto now = std::chrono::steady_clock::now();
    if (now < next_telling) return;
    next_telling = now + told_gap;
    spdlog::error("request log: {}", what);
  }

  std::atomic<bool> is_dirty{false};
  std::atomic<std::uint64_t> failed{0}, told_lost{0};
  time_point next_telling{};
  // Destroyed before the other members, after it has written what is queued.
  std::shared_ptr<spdlog::details::thread_pool> writer =
      std::make_shared<spdlog::details::thread_pool>(queue_lines, 1);
  std::shared_ptr<spdlog::async_logger> logger;
};

request_log::request_log(const config::log_options& options, const std::string& data_dir)
    : state_(std::make_unique<state>()) {
  state_->logger = std::make_shared<spdlog::async_logger>(
      "requests", make_sink(options, data_dir), state_->writer,
      spdlog::async_overflow_policy::overrun_oldest);
  state_->logger->set_pattern("%v");
  state_->logger->set_error_handler(
      [state = state_.get()](const std::string& what) { state->on_error(what); });
}

request_log::~request_log() {
  state_->logger->flush();
}

void request_log::write(const request_record& record) {
  state_->logger->info(line_of(record));
  state_->is_dirty.store(true, std::memory_order_relaxed);
}

std::uint64_t request_log::flush() {
  if (state_->is_dirty.exchange(false, std::memory_order_relaxed)) state_->logger->flush();
  const std::uint64_t lost = state_->writer->overrun_counter() + state_->failed.load();
  auto told = state_->told_lost.load();
  while (told < lost && !state_->told_lost.compare_exchange_weak(told, lost)) {
  }
  return lost > told ? lost - told : 0;
}

}  // namespace signalbox::http
