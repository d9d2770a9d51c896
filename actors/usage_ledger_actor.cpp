#include "actors/usage_ledger_actor.hpp"

#include <spdlog/spdlog.h>

#include <deque>
#include <map>
#include <tuple>

#include "actors/shell.hpp"
#include "persistence/stores.hpp"

namespace signalbox {
namespace {

using namespace std::chrono_literals;

constexpr duration commit_interval = 250ms;
constexpr duration drop_log_interval = 10s;
constexpr std::size_t batch_limit = 1000;  // rows in one transaction

// shards ── usage_batch ──▶ open_ (added up by key) ── freeze ──▶ frozen_ ── one at a time ──▶
// store
//
// A frozen batch keeps its id and its rows until the store says that it has it: the answer to an
// earlier try may have been lost after the commit, and the id is what makes the retry harmless.
class usage_ledger : public usage_ledger_actor::base {
 public:
  usage_ledger(caf::actor_config& cfg, const config::settings& settings, persistence::database& db,
               metrics& recorder)
      : usage_ledger_actor::base(cfg),
        limit_(settings.database.usage_buffer_rows),
        store_(db),
        recorder_(recorder) {
    end_on_exception(this, "usage_ledger");
  }

  const char* name() const override { return "usage_ledger"; }

 protected:
  behavior_type make_behavior() override {
    return {
        [this](const usage_batch& batch) { on_usage(batch); },
        [this](const flush_usage&) { return write(); },
        [this](tick) { on_tick(); },
    };
  }

 private:
  using row_key = std::tuple<std::string, std::string, usage_source, std::int32_t>;

  struct frozen_batch {
    std::string id;
    std::vector<usage_row> rows;
  };

  void on_usage(const usage_batch& batch) {
    for (const auto& row : batch.rows) add(row);
    const auto now = clock().now();
    timer_.arm(this, std::max(now + commit_interval, retry_at_));
  }

  void add(const usage_row& row) {
    const row_key key{row.key_id, row.model, row.source, row.day};
    const auto found = open_.find(key);
    if (found != open_.end()) {
      found->second += row;
    } else if (open_.size() + frozen_rows_ < limit_) {
      open_.emplace(key, row);
    } else {
      drop(1, "the buffer is full");
    }
  }

  void drop(std::uint64_t rows, std::string_view why) {
    recorder_.usage_dropped(rows);
    dropped_ += rows;
    const auto now = clock().now();
    if (now < next_drop_log_) return;
    spdlog::error("usage: {} rows dropped so far: {}", dropped_, why);
    next_drop_log_ = now + drop_log_interval;
  }

  void on_tick() {
    const auto now = clock().now();
    timer_.fired(now);
    if (now >= retry_at_) {
      write();
    } else {
      timer_.arm(this, retry_at_);
    }
  }

  // True when everything taken so far is durable.
  bool write() {
    try {
      while (freeze()) write_first();
      backoff_.succeeded();
      retry_at_ = {};
      if (!std::exchange(told_away_, {}).empty()) spdlog::info("usage: the database is back");
      return true;
    } catch (const persistence::database_unavailable& e) {
      if (std::exchange(told_away_, e.what()) != e.what()) {
        spdlog::warn("usage: the database is away, what is used waits: {}", e.what());
      }
      retry_at_ = clock().now() + backoff_.failed();
      timer_.arm(this, retry_at_);
      return false;
    }
  }

  // Makes the next batch to write when there is none; false: nothing left to write.
  bool freeze() {
    if (!frozen_.empty()) return true;
    if (open_.empty()) return false;
    frozen_batch batch{persistence::make_uuid(), {}};
    while (!open_.empty() && batch.rows.size() < batch_limit) {
      batch.rows.push_back(std::move(open_.extract(open_.begin()).mapped()));
    }
    frozen_rows_ += batch.rows.size();
    frozen_.push_back(std::move(batch));
    return true;
  }

  // One row that PostgreSQL refuses must not hold up the rest: halve the batch until it is alone.
  // A refusal (unlike a lost connection) says that nothing was committed, so the ids may change.
  void write_first() {
    auto& batch = frozen_.front();
    try {
      store_.add(batch.id, batch.rows);
      frozen_rows_ -= batch.rows.size();
      frozen_.pop_front();
    } catch (const persistence::database_unavailable&) {
      throw;
    } catch (const std::exception& e) {
      if (batch.rows.size() == 1) {
        drop(1, e.what());
        frozen_rows_ -= 1;
        frozen_.pop_front();
      } else {
        const auto middle = batch.rows.begin() + static_cast<std::ptrdiff_t>(batch.rows.size() / 2);
        frozen_batch second{persistence::make_uuid(), {middle, batch.rows.end()}};
        batch.rows.erase(middle, batch.rows.end());
        batch.id = persistence::make_uuid();
        frozen_.insert(frozen_.begin() + 1, std::move(second));
      }
    }
  }

  const std::size_t limit_;
  persistence::usage_store store_;
  metrics& recorder_;
  std::map<row_key, usage_row> open_;
  std::deque<frozen_batch> frozen_;
  std::size_t frozen_rows_ = 0;
  std::string told_away_;  // why; empty: it is there
  retry_backoff backoff_;
  time_point retry_at_{};
  time_point next_drop_log_{};
  std::uint64_t dropped_ = 0;
  tick_timer timer_;
};

}  // namespace

usage_ledger_actor spawn_usage_ledger(caf::actor_system& system, const config::settings& settings,
                                      persistence::database& db, metrics& recorder) {
  return system.spawn<usage_ledger, caf::detached>(std::cref(settings), std::ref(db),
                                                   std::ref(recorder));
}

}  // namespace signalbox
