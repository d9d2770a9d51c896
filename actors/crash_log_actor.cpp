#include "actors/crash_log_actor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <deque>
#include <system_error>

#include "actors/shell.hpp"
#include "persistence/crash_files.hpp"
#include "persistence/stores.hpp"

namespace signalbox {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t max_buffered = 1000;
constexpr std::uint32_t max_listed = 1000;

class crash_log : public crash_log_actor::base {
 public:
  crash_log(caf::actor_config& cfg, persistence::database& db, const std::string& data_dir)
      : crash_log_actor::base(cfg), store_(db), files_(data_dir + "/runtime_failures") {
    end_on_exception(this, "crash_log");
  }

  const char* name() const override { return "crash_log"; }

 protected:
  behavior_type make_behavior() override {
    return {
        [this](const crash_record& record) { on_crash(record); },
        [this](const list_crashes& m) { return list(m); },
        [this](tick) { on_tick(); },
    };
  }

 private:
  void on_crash(const crash_record& record) {
    write_file(record);
    if (buffer_.size() == max_buffered) {
      spdlog::warn("crash log: the oldest of {} crashes that wait for the database is dropped",
                   buffer_.size());
      buffer_.pop_front();
    }
    buffer_.push_back(record);
    if (clock().now() >= retry_at_) write();
  }

  void write_file(const crash_record& record) {
    try {
      files_.add(record);
    } catch (const std::system_error& e) {
      spdlog::warn("crash log: no file for a crash of {}: {}", record.model, e.what());
    }
  }

  void on_tick() {
    timer_.fired(clock().now());
    write();
  }

  // If the answer to a commit is lost, the crash is written twice. That is better than to lose it.
  void write() {
    try {
      while (!buffer_.empty()) {
        add(buffer_.front());
        buffer_.pop_front();
      }
      backoff_.succeeded();
      retry_at_ = {};
      told_away_.clear();
    } catch (const persistence::database_unavailable& e) {
      if (std::exchange(told_away_, e.what()) != e.what()) {
        spdlog::warn("crash log: the database is away, crashes wait to be written: {}", e.what());
      }
      retry_at_ = clock().now() + backoff_.failed();
      timer_.arm(this, retry_at_);
    }
  }

  void add(const crash_record& record) {
    try {
      store_.add(record);
    } catch (const persistence::database_unavailable&) {
      throw;
    } catch (const std::exception& e) {
      spdlog::error("crash log: a crash of {} cannot be stored: {}", record.model, e.what());
    }
  }

  caf::result<crash_list> list(const list_crashes& m) {
    const auto limit = std::min(m.limit, max_listed);
    try {
      crash_list answer{{buffer_.rbegin(), buffer_.rend()}};
      auto stored = store_.newest(limit);
      answer.crashes.insert(answer.crashes.end(), std::make_move_iterator(stored.begin()),
                            std::make_move_iterator(stored.end()));
      std::stable_sort(answer.crashes.begin(), answer.crashes.end(),
                       [](const auto& a, const auto& b) { return a.time > b.time; });
      if (answer.crashes.size() > limit) answer.crashes.resize(limit);
      return answer;
    } catch (const std::exception& e) {
      return caf::make_error(caf::sec::runtime_error, std::string(e.what()));
    }
  }

  persistence::crash_store store_;
  persistence::crash_files files_;
  std::deque<crash_record> buffer_;  // not written yet, oldest first
  std::string told_away_;            // why the database is away; empty: it is there
  retry_backoff backoff_;
  time_point retry_at_{};
  tick_timer timer_;
};

}  // namespace

crash_log_actor spawn_crash_log(caf::actor_system& system, persistence::database& db,
                                const std::string& data_dir) {
  return system.spawn<crash_log, caf::detached>(std::ref(db), data_dir);
}

}  // namespace signalbox
