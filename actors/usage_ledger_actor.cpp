#include "actors/usage_ledger_actor.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <deque>
#include <map>
#include <tuple>
#include <utility>

#include "actors/client_names.hpp"
#include "actors/missing_models.hpp"
#include "actors/shell.hpp"
#include "persistence/stores.hpp"
#include "scheduling/day_clock.hpp"
#include "text/utf8.hpp"

namespace signalbox {
namespace {

using namespace std::chrono_literals;

constexpr duration commit_interval = 250ms;
constexpr duration drop_log_interval = 10s;
constexpr duration upkeep_interval = 1h;  // between looks for a new day while no usage comes
constexpr duration keep_pause = 5min;     // between tries to drop partitions that somebody reads
constexpr auto report_timeout = 5000ms;   // for one report, as it holds up writing
constexpr std::size_t max_batch_rows = 1000;  // rows in one transaction
constexpr std::size_t model_bytes = 200;      // of a name that no model has; longer ones are cut

// shards ── usage_batch ──▶ open_ (added up by key) ── freeze ──▶ frozen_ ── singly ──▶ store
//
// A frozen batch keeps its id and its rows until the store confirms it. The answer to an earlier
// try may have been lost after the commit; the id makes the retry harmless.
//
// Before it first writes, the actor reads what earlier processes stored. Once a day, after writing,
// it makes partitions ahead and drops old ones. Until the first message comes it does nothing.
class usage_ledger : public usage_ledger_actor::base {
 public:
  usage_ledger(caf::actor_config& cfg, const config::settings& settings, persistence::database& db,
               metrics& recorder, std::function<wall_time()> wall_clock,
               std::function<time_point()> steady_clock)
      : usage_ledger_actor::base(cfg),
        limit_(settings.database.usage_buffer_rows),
        retention_days_(settings.usage.retention_days),
        wall_clock_(std::move(wall_clock)),
        steady_clock_(std::move(steady_clock)),
        clients_(settings.usage.clients_per_key),
        store_(db),
        missing_store_(db),
        recorder_(recorder) {
    end_on_exception(this, "usage_ledger");
  }

  const char* name() const override { return "usage_ledger"; }

 protected:
  behavior_type make_behavior() override {
    return {
        [this](const usage_batch& batch) { on_usage(batch); },
        [this](const flush_usage&) { return write(); },
        [this](const list_usage& m) { return on_list(m); },
        [this](const list_key_usage& m) { return on_list_by_key(m); },
        [this](const missing_model_batch& batch) { on_missing(batch); },
        [this](const list_missing_models& m) { return on_list_missing(m); },
        [this](tick) { on_tick(); },
    };
  }

 private:
  using row_key = std::tuple<std::string, std::string, std::string, usage_source, std::int32_t>;

  struct frozen_batch {
    std::string id;
    std::vector<usage_row> rows;
  };

  void on_usage(const usage_batch& batch) {
    for (const auto& row : batch.rows) add(row);
    write_soon();
  }

  void on_missing(const missing_model_batch& batch) {
    for (auto m : batch.models) {
      m.model = clean_text(m.model, model_bytes);
      missing_.add(std::move(m));
    }
    write_soon();
  }

  caf::result<usage_report> on_list(const list_usage& m) {
    return report(m, [&](auto limit) { return store_.report(m, limit); });
  }

  caf::result<key_usage_report> on_list_by_key(const list_key_usage& m) {
    return report(m, [&](auto limit) { return store_.by_key(m, limit); });
  }

  caf::result<missing_model_list> on_list_missing(const list_missing_models& m) {
    return report(m, [&](auto) {
      learn();
      return missing_model_list{missing_.newest(m.limit)};
    });
  }

  void write_soon() { timer_.arm(this, std::max(clock().now() + commit_interval, retry_at_)); }

  void add(usage_row row) {
    row.client_id = clients_.admit(row.key_id, row.day, std::move(row.client_id));
    row_key key{row.key_id, row.client_id, row.model, row.source, row.day};
    const auto found = open_.find(key);
    if (found != open_.end()) {
      found->second += row;
    } else if (open_.size() + frozen_rows_ < limit_) {
      open_.emplace(std::move(key), std::move(row));
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
    if (now >= look_again_at_) {
      look_again_at_ = now + upkeep_interval;
      timer_.arm(this, look_again_at_);
    }
    if (now >= retry_at_) {
      write();
    } else {
      timer_.arm(this, retry_at_);
    }
  }

  // Returns true when everything taken so far is durable.
  bool write() {
    try {
      learn();
      while (freeze()) write_first();
      write_missing();
    } catch (const persistence::lock_not_granted& e) {
      return retry_later("another session locks its tables", e.what());
    } catch (const persistence::database_unavailable& e) {
      return retry_later("the database is away", e.what());
    }
    backoff_.succeeded();
    retry_at_ = {};
    if (!std::exchange(told_away_, {}).empty()) spdlog::info("usage: waiting rows are written");
    keep_partitions();
    return true;
  }

  bool retry_later(std::string_view why, const std::string& details) {
    if (std::exchange(told_away_, details) != details) {
      spdlog::warn("usage: {}, rows wait to be written: {}", why, details);
    }
    retry_at_ = clock().now() + backoff_.failed();
    timer_.arm(this, retry_at_);
    return false;
  }

  std::int32_t today() { return days_.at(steady_clock_(), wall_clock_()).date; }

  // Reads the client names that earlier processes stored: they may fill a key's limit already.
  void learn() {
    if (learned_) return;
    const auto known = store_.clients_since(today() - 1);
    missing_.learn(missing_store_.newest());
    learned_ = true;
    clients_.forget();
    for (const auto& row : known) clients_.learn(row.key_id, row.day, row.client_id);
    for (auto& [key, row] : std::exchange(open_, {})) add(std::move(row));
  }

  void keep_partitions() {
    const auto day = today();
    const auto now = clock().now();
    if (day == kept_on_ || now < keep_at_) return;
    clients_.forget_before(day - 1);
    try {
      const auto dropped = store_.keep_partitions(day, retention_days_);
      if (dropped > 0) {
        spdlog::info("usage: dropped {} months that are older than {} days", dropped,
                     retention_days_);
      }
    } catch (const persistence::database_unavailable& e) {
      // Somebody reads the partitions to drop. Writing goes on, since it makes those that it needs.
      if (!std::exchange(told_kept_later_, true)) {
        spdlog::info("usage: old partitions are dropped later: {}", e.what());
      }
      keep_at_ = now + keep_pause;
      return timer_.arm(this, keep_at_);
    } catch (const std::exception& e) {
      // The next try is tomorrow.
      spdlog::error("usage: the upkeep of partitions failed: {}", e.what());
    }
    kept_on_ = day;
    told_kept_later_ = false;
  }

  void write_missing() {
    const auto models = missing_.unsaved();
    if (models.empty()) return;
    try {
      missing_store_.save(models);
    } catch (const persistence::database_unavailable&) {
      throw;
    } catch (const std::exception& e) {
      spdlog::error("usage: {} missing models cannot be stored: {}", models.size(), e.what());
    }
    missing_.all_are_saved();
  }

  // `work` gets the time that it may take. A report whose deadline has passed is not made, because
  // it would only hold up writing.
  template <class Question, class Work>
  auto report(const Question& m, Work work) -> caf::result<decltype(work(report_timeout))> {
    const auto rest =
        std::chrono::floor<std::chrono::milliseconds>(m.wait.deadline - clock().now());
    if (rest < 1ms) return caf::make_error(caf::sec::request_timeout);
    try {
      return work(std::min<std::chrono::milliseconds>(rest, report_timeout));
    } catch (const std::exception& e) {
      return caf::make_error(caf::sec::runtime_error, std::string(e.what()));
    }
  }

  // Makes the next batch if there is none. Returns false when nothing is left to write.
  bool freeze() {
    if (!frozen_.empty()) return true;
    if (open_.empty()) return false;
    frozen_batch batch{persistence::make_uuid(), {}};
    while (!open_.empty() && batch.rows.size() < max_batch_rows) {
      batch.rows.push_back(std::move(open_.extract(open_.begin()).mapped()));
    }
    frozen_rows_ += batch.rows.size();
    frozen_.push_back(std::move(batch));
    return true;
  }

  // A row that PostgreSQL refuses must not hold up the rest, so the batch is halved until that row
  // is alone. After a refusal, unlike a lost connection, nothing was committed, so the ids may
  // change.
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
  const std::uint32_t retention_days_;
  const std::function<wall_time()> wall_clock_;
  const std::function<time_point()> steady_clock_;
  scheduling::day_clock days_;
  client_names clients_;
  missing_models missing_{max_missing_models};
  bool learned_ = false;
  std::int32_t kept_on_ = -1;  // day of the last upkeep of partitions
  time_point keep_at_{};       // no upkeep before this
  bool told_kept_later_ = false;
  time_point look_again_at_{};
  persistence::usage_store store_;
  persistence::missing_model_store missing_store_;
  metrics& recorder_;
  std::map<row_key, usage_row> open_;
  std::deque<frozen_batch> frozen_;
  std::size_t frozen_rows_ = 0;
  std::string told_away_;  // why the database is away; empty: it is there
  retry_backoff backoff_;
  time_point retry_at_{};
  time_point next_drop_log_{};
  std::uint64_t dropped_ = 0;
  tick_timer timer_;
};

}  // namespace

usage_ledger_actor spawn_usage_ledger(caf::actor_system& system, const config::settings& settings,
                                      persistence::database& db, metrics& recorder,
                                      std::function<wall_time()> wall_clock,
                                      std::function<time_point()> steady_clock) {
  return system.spawn<usage_ledger, caf::detached>(std::cref(settings), std::ref(db),
                                                   std::ref(recorder), std::move(wall_clock),
                                                   std::move(steady_clock));
}

}  // namespace signalbox
