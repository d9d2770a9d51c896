#include <algorithm>
#include <array>
#include <set>
#include <stdexcept>
#include <tuple>

#include "persistence/array_literal.hpp"
#include "persistence/columns.hpp"
#include "persistence/session.hpp"
#include "persistence/stores.hpp"
#include "text/utf8.hpp"

namespace signalbox::persistence {

namespace {

// A larger count in one row is a fault of the runtime. It is cut so that sums stay inside a bigint.
constexpr std::uint64_t max_count = 1'000'000'000'000;
constexpr std::uint32_t max_groups = 1000;

// A batch that gets no lock in this time is kept and added later.
constexpr const char* wait_for_locks = "SET LOCAL lock_timeout = '5s'";
// A statement that waits for the strongest lock blocks all later readers and writers.
constexpr const char* barely_wait_for_locks = "SET LOCAL lock_timeout = '500ms'";

constexpr const char* insert_batch =
    "INSERT INTO usage_batches (id) VALUES ($1::uuid) ON CONFLICT DO NOTHING";

constexpr const char* delete_old_batches =
    "DELETE FROM usage_batches WHERE id IN"
    " (SELECT id FROM usage_batches WHERE applied_at < now() - interval '7 days'"
    "  ORDER BY applied_at LIMIT 10000 FOR UPDATE SKIP LOCKED)";

constexpr const char* make_partitions =
    "SELECT usage_make_partition(date '1970-01-01' + day) FROM unnest($1::int[]) AS day";

constexpr const char* make_partitions_ahead =
    "SELECT usage_make_partition(today.day),"
    " usage_make_partition((date_trunc('month', today.day::timestamp) + interval '1 month')::date)"
    " FROM (SELECT date '1970-01-01' + $1::int AS day) AS today";

// The third newest day of usage up to a date; null: there are fewer.
constexpr const char* select_third_newest_day =
    "SELECT max(day) - date '1970-01-01' AS day FROM usage_daily WHERE day <"
    " (SELECT max(day) FROM usage_daily WHERE day <"
    "  (SELECT max(day) FROM usage_daily WHERE day <= date '1970-01-01' + $1::int))";

constexpr const char* drop_partitions =
    "SELECT usage_drop_partitions(date '1970-01-01' + $1::int - $2::int) AS dropped";

constexpr const char* upsert_usage =
    "INSERT INTO usage_daily AS u (day, key_id, client_id, model, source, requests, successes,"
    " errors, cancelled, prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens,"
    " estimated, gpu_us, queue_us, last_seen, last_status)"
    " SELECT date '1970-01-01' + row.day, row.key_id, row.client_id, row.model, row.source,"
    " row.requests, row.successes, row.errors, row.cancelled, row.prompt_tokens,"
    " row.completion_tokens, row.cached_tokens, row.reasoning_tokens, row.estimated, row.gpu_us,"
    " row.queue_us,"
    " timestamptz 'epoch' + row.last_seen * interval '1 microsecond', row.last_status"
    " FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],"
    " $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],"
    " $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[], $17::bigint[], $18::text[])"
    " AS row(day, key_id, client_id, model, source, requests, successes, errors, cancelled,"
    " prompt_tokens, completion_tokens, cached_tokens, reasoning_tokens, estimated, gpu_us,"
    " queue_us, last_seen, last_status)"
    " ON CONFLICT (day, key_id, client_id, model, source) DO UPDATE SET"
    " requests = u.requests + excluded.requests,"
    " successes = u.successes + excluded.successes,"
    " errors = u.errors + excluded.errors,"
    " cancelled = u.cancelled + excluded.cancelled,"
    " prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,"
    " completion_tokens = u.completion_tokens + excluded.completion_tokens,"
    " cached_tokens = u.cached_tokens + excluded.cached_tokens,"
    " reasoning_tokens = u.reasoning_tokens + excluded.reasoning_tokens,"
    " estimated = u.estimated + excluded.estimated,"
    " gpu_us = u.gpu_us + excluded.gpu_us,"
    " queue_us = u.queue_us + excluded.queue_us,"
    " last_seen = greatest(u.last_seen, excluded.last_seen),"
    " last_status = CASE WHEN excluded.last_seen >= u.last_seen THEN excluded.last_status"
    "  ELSE u.last_status END";

constexpr const char* select_usage =
    "SELECT requests, successes, errors, cancelled, prompt_tokens, completion_tokens,"
    " cached_tokens, reasoning_tokens, estimated,"
    " gpu_us, queue_us, (extract(epoch FROM last_seen) * 1000000)::bigint AS last_seen_us,"
    " last_status, day - date '1970-01-01' AS day_number, key_id, client_id, model, source"
    " FROM usage_daily WHERE $1::int < 0 OR day = date '1970-01-01' + $1::int"
    " ORDER BY day, key_id, client_id, model, source";

constexpr const char* select_clients =
    "SELECT DISTINCT day - date '1970-01-01' AS day_number, key_id, client_id"
    " FROM usage_daily WHERE day >= date '1970-01-01' + $1::int AND client_id <> ''";

// Sums of the counters of usage_daily, and the latest last_seen and last_status.
#define SUMS                                                                 \
  " sum(requests)::bigint AS requests, sum(successes)::bigint AS successes," \
  " sum(errors)::bigint AS errors, sum(cancelled)::bigint AS cancelled,"     \
  " sum(prompt_tokens)::bigint AS prompt_tokens,"                            \
  " sum(completion_tokens)::bigint AS completion_tokens,"                    \
  " sum(cached_tokens)::bigint AS cached_tokens,"                            \
  " sum(reasoning_tokens)::bigint AS reasoning_tokens,"                      \
  " sum(estimated)::bigint AS estimated, sum(gpu_us)::bigint AS gpu_us,"     \
  " sum(queue_us)::bigint AS queue_us,"                                      \
  " (extract(epoch FROM max(last_seen)) * 1000000)::bigint AS last_seen_us," \
  " (array_agg(last_status ORDER BY last_seen DESC))[1] AS last_status"

// Columns that are not grouped by get the same value in all rows. $9: whether there is a cursor to
// continue from.
constexpr const char* select_groups =
    "SELECT * FROM (SELECT" SUMS
    ","
    " CASE WHEN $1::bool THEN day - date '1970-01-01' ELSE 0 END AS of_day,"
    " CASE WHEN $2::bool THEN key_id ELSE '' END AS of_key,"
    " CASE WHEN $3::bool THEN client_id ELSE '' END AS of_client,"
    " CASE WHEN $4::bool THEN model ELSE '' END AS of_model,"
    " CASE WHEN $5::bool THEN source ELSE '' END AS of_source"
    " FROM usage_daily WHERE day BETWEEN date '1970-01-01' + $6::int AND date '1970-01-01' + "
    "$7::int"
    " AND ($8::text IS NULL OR key_id = $8)"
    " GROUP BY of_day, of_key, of_client, of_model, of_source) AS groups"
    " WHERE NOT $9::bool OR (of_day, of_key, of_client, of_model, of_source) >"
    " ($10::int, $11::text, $12::text, $13::text, $14::text)"
    " ORDER BY of_day, of_key, of_client, of_model, of_source LIMIT $15";

constexpr const char* select_by_key =
    "SELECT" SUMS
    ", key_id,"
    " coalesce(sum(requests) FILTER (WHERE source = 'realtime'), 0)::bigint AS realtime_requests,"
    " coalesce(sum(requests) FILTER (WHERE source = 'batch'), 0)::bigint AS batch_requests,"
    " (array_agg(model ORDER BY last_seen DESC))[1] AS last_model,"
    " (array_agg(source ORDER BY last_seen DESC))[1] AS last_source"
    " FROM usage_daily WHERE ($1::int IS NULL OR day = date '1970-01-01' + $1::int)"
    " AND key_id > $2 GROUP BY key_id ORDER BY key_id LIMIT $3";

#undef SUMS

struct count_column {
  const char* name;
  std::uint64_t usage_counts::*member;
};

// In the order of the parameters of upsert_usage.
constexpr std::array<count_column, 11> counts{
    {{"requests", &usage_counts::requests},
     {"successes", &usage_counts::successes},
     {"errors", &usage_counts::errors},
     {"cancelled", &usage_counts::cancelled},
     {"prompt_tokens", &usage_counts::prompt_tokens},
     {"completion_tokens", &usage_counts::completion_tokens},
     {"cached_tokens", &usage_counts::cached_tokens},
     {"reasoning_tokens", &usage_counts::reasoning_tokens},
     {"estimated", &usage_counts::estimated},
     {"gpu_us", &usage_counts::gpu_us},
     {"queue_us", &usage_counts::queue_us}}};

auto key_of(const usage_row& row) {
  return std::tie(row.day, row.key_id, row.client_id, row.model, row.source);
}

// Merges the rows of each key, and sorts them by key: all writers lock rows in the same order.
std::vector<usage_row> merge(std::vector<usage_row> rows) {
  for (usage_row& row : rows) {
    row.key_id = clean_text(row.key_id, max_name_bytes);
    row.client_id = clean_text(row.client_id, max_name_bytes);
    row.model = clean_text(row.model, max_name_bytes);
    for (const auto& count : counts) {
      row.*count.member = std::min(row.*count.member, max_count);
    }
  }
  std::sort(rows.begin(), rows.end(),
            [](const usage_row& a, const usage_row& b) { return key_of(a) < key_of(b); });
  std::vector<usage_row> merged;
  for (usage_row& row : rows) {
    if (merged.empty() || key_of(merged.back()) != key_of(row)) {
      merged.push_back(std::move(row));
    } else {
      merged.back() += row;
    }
  }
  return merged;
}

void make_partitions_of(pqxx::work& tx, const std::vector<usage_row>& rows) {
  std::set<std::int32_t> distinct;
  for (const usage_row& row : rows) distinct.insert(row.day);
  array_literal days;
  for (const auto day : distinct) days.add(std::to_string(day));
  tx.exec_params(make_partitions, std::move(days).take());
}

void upsert(pqxx::work& tx, const std::vector<usage_row>& rows) {
  array_literal days, keys, clients, models, sources, last_seen, last_status;
  std::array<array_literal, counts.size()> numbers;
  for (const usage_row& row : rows) {
    days.add(std::to_string(row.day));
    keys.add(row.key_id);
    clients.add(row.client_id);
    models.add(row.model);
    sources.add(to_string(row.source));
    for (std::size_t i = 0; i < counts.size(); ++i) {
      numbers[i].add(std::to_string(row.*counts[i].member));
    }
    last_seen.add(std::to_string(to_microseconds(row.last_seen)));
    last_status.add(to_string(row.last_status));
  }
  std::apply(
      [&](auto&... number) {
        tx.exec_params(upsert_usage, std::move(days).take(), std::move(keys).take(),
                       std::move(clients).take(), std::move(models).take(),
                       std::move(sources).take(), std::move(number).take()...,
                       std::move(last_seen).take(), std::move(last_status).take());
      },
      numbers);
}

template <class Enumeration>
Enumeration parse(const std::string& text, std::initializer_list<Enumeration> all) {
  for (const auto value : all) {
    if (text == to_string(value)) return value;
  }
  throw std::runtime_error("usage_daily holds an unknown word: " + text);
}

void read_counts(const pqxx::row& row, usage_counts& out) {
  for (const auto& count : counts) out.*count.member = row[count.name].as<std::uint64_t>();
  out.last_seen = to_time(row["last_seen_us"].as<std::int64_t>());
  out.last_status = parse(row["last_status"].as<std::string>(),
                          {usage_status::success, usage_status::error, usage_status::cancelled});
}

template <typename... Parameters>
pqxx::result read_in_time(database& db, usage_store::query_timeout timeout, const char* statement,
                          const Parameters&... parameters) {
  pqxx::result rows;
  db.with_connection([&](session& session) {
    pqxx::read_transaction tx(session.connection);
    tx.exec(wait_for_locks);
    if (timeout) tx.exec("SET LOCAL statement_timeout = " + std::to_string(timeout->count()));
    rows = tx.exec_params(statement, parameters...);
    tx.commit();
  });
  return rows;
}

}  // namespace

void usage_store::add(const std::string& batch_id, std::vector<usage_row> rows) {
  if (rows.empty()) return;
  const std::vector<usage_row> merged = merge(std::move(rows));
  db_.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    tx.exec(wait_for_locks);
    if (tx.exec_params(insert_batch, batch_id).affected_rows() == 0) return;  // it was added before
    make_partitions_of(tx, merged);
    upsert(tx, merged);
    // Ids are random, so one batch in 256 also deletes ids too old to be sent again.
    if (batch_id.rfind("00", 0) == 0) tx.exec(delete_old_batches);
    tx.commit();
  });
}

int usage_store::keep_partitions(std::int32_t today, std::uint32_t retention_days) {
  int dropped = 0;
  db_.with_connection([&](session& session) {
    std::int32_t proven = 0;  // the date that is believed; 0: none
    {
      pqxx::work tx(session.connection);
      tx.exec(barely_wait_for_locks);
      tx.exec_params(make_partitions_ahead, today);
      const auto third = tx.exec_params1(select_third_newest_day, today);
      if (!third["day"].is_null()) proven = std::min(today, third["day"].as<std::int32_t>() + 2);
      tx.commit();
    }
    if (proven == 0) return;
    // Not in the transaction that read the partitions: its locks are in the way of other keepers.
    pqxx::work tx(session.connection);
    tx.exec(barely_wait_for_locks);
    dropped = tx.exec_params1(drop_partitions, proven, retention_days)["dropped"].as<int>();
    tx.commit();
  });
  return dropped;
}

std::vector<usage_row> usage_store::rows_of_day(std::int32_t day) {
  std::vector<usage_row> rows;
  for (const auto& row : read_in_time(db_, {}, select_usage, day)) {
    usage_row found;
    read_counts(row, found);
    found.day = row["day_number"].as<std::int32_t>();
    found.key_id = row["key_id"].as<std::string>();
    found.client_id = row["client_id"].as<std::string>();
    found.model = row["model"].as<std::string>();
    found.source = parse(row["source"].as<std::string>(),
                         {usage_source::realtime, usage_source::batch, usage_source::eval});
    rows.push_back(std::move(found));
  }
  return rows;
}

std::vector<usage_row> usage_store::clients_since(std::int32_t day) {
  std::vector<usage_row> rows;
  const auto clients = read_in_time(db_, {}, select_clients, day);
  const auto day_number = clients.column_number("day_number");
  const auto key_id = clients.column_number("key_id");
  const auto client_id = clients.column_number("client_id");
  for (const auto& row : clients) {  // there may be many rows
    usage_row found;
    found.day = row[day_number].as<std::int32_t>();
    found.key_id = row[key_id].as<std::string>();
    found.client_id = row[client_id].as<std::string>();
    rows.push_back(std::move(found));
  }
  return rows;
}

usage_report usage_store::report(const list_usage& query, query_timeout timeout) {
  const auto& by = query.by;
  const auto after = query.after.value_or(usage_group{});
  std::optional<std::string> key_id;
  if (query.key_id) key_id = clean_text(*query.key_id, max_name_bytes);
  usage_report report;
  for (const auto& row : read_in_time(
           db_, timeout, select_groups, by.day, by.key, by.client, by.model, by.source,
           query.first_day, query.last_day, key_id, query.after.has_value(), after.day,
           clean_text(after.key_id, max_name_bytes), clean_text(after.client_id, max_name_bytes),
           clean_text(after.model, max_name_bytes), clean_text(after.source, max_name_bytes),
           std::min(query.limit, max_groups))) {
    usage_group group;
    read_counts(row, group);
    group.day = row["of_day"].as<std::int32_t>();
    group.key_id = row["of_key"].as<std::string>();
    group.client_id = row["of_client"].as<std::string>();
    group.model = row["of_model"].as<std::string>();
    group.source = row["of_source"].as<std::string>();
    report.groups.push_back(std::move(group));
  }
  return report;
}

key_usage_report usage_store::by_key(const list_key_usage& query, query_timeout timeout) {
  key_usage_report report;
  for (const auto& row :
       read_in_time(db_, timeout, select_by_key, query.day, clean_text(query.after, max_name_bytes),
                    std::min(query.limit, max_groups))) {
    key_usage key;
    read_counts(row, key);
    key.key_id = row["key_id"].as<std::string>();
    key.realtime_requests = row["realtime_requests"].as<std::uint64_t>();
    key.batch_requests = row["batch_requests"].as<std::uint64_t>();
    key.last_model = row["last_model"].as<std::string>();
    key.last_source = row["last_source"].as<std::string>();
    report.keys.push_back(std::move(key));
  }
  return report;
}

}  // namespace signalbox::persistence
