// The stores, one for each family of tables. Blocking; all throw database_unavailable when the
// database is away. All statements are named and stand in the .cpp of their store.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "persistence/database.hpp"
#include "records/crash.hpp"
#include "records/usage.hpp"

namespace signalbox::persistence {

class crash_store {
 public:
  explicit crash_store(database& db) : db_(db) {}
  void add(const crash_record& record);
  std::vector<crash_record> newest(std::uint32_t limit);  // newest first

 private:
  database& db_;
};

class usage_store {
 public:
  using query_timeout = std::optional<std::chrono::milliseconds>;

  explicit usage_store(database& db) : db_(db) {}
  // Adds the rows in one transaction, sorted by key so that two writers cannot deadlock.
  // `batch_id`, a UUID that the caller makes and keeps over retries, makes this idempotent: a batch
  // that was committed before, although the answer was lost, is not added again. Makes missing
  // partitions.
  void add(const std::string& batch_id, std::vector<usage_row> rows);
  // Makes the partitions of this month and the next, and drops those that hold only days before
  // today - retention_days; returns how many it dropped. Waits only 500 ms for locks
  // (lock_not_granted).
  // A machine may start with a clock that is a year ahead, and what is dropped is lost. So the date
  // is believed only as far as usage goes: up to two days after the third newest day that has some.
  // A wrong clock gets there when it has gone through a whole day, with requests, uncorrected.
  int keep_partitions(std::int32_t today, std::uint32_t retention_days);
  // Returns all rows of one day (days since 1970-01-01 UTC), or of all days if day < 0.
  std::vector<usage_row> rows_of_day(std::int32_t day);
  // Returns the client ids that each key has rows of. Only key_id, client_id and day are set.
  std::vector<usage_row> clients_since(std::int32_t day);
  // Bounds the time of the statement; without a timeout the general statement timeout applies.
  usage_report report(const list_usage& query, query_timeout timeout = {});
  key_usage_report by_key(const list_key_usage& query, query_timeout timeout = {});

 private:
  database& db_;
};

class missing_model_store {
 public:
  explicit missing_model_store(database& db) : db_(db) {}
  // Saves totals; each replaces a smaller one. Keeps only the max_missing_models models seen last.
  void save(const std::vector<missing_model>& models);
  std::vector<missing_model> newest();

 private:
  database& db_;
};

// A random (version 4) UUID in text form.
std::string make_uuid();

}  // namespace signalbox::persistence
