#include <algorithm>
#include <map>

#include "persistence/array_literal.hpp"
#include "persistence/columns.hpp"
#include "persistence/session.hpp"
#include "persistence/stores.hpp"
#include "text/utf8.hpp"

namespace signalbox::persistence {

namespace {

constexpr std::size_t max_detail_bytes = 4096;
constexpr std::size_t max_line_bytes = 4096;
constexpr std::size_t max_lines = 200;
constexpr std::uint32_t max_newest = 1000;
constexpr std::int64_t max_crashes = 10000;

constexpr const char* insert_crash =
    "INSERT INTO crashes (at, model, reason, detail, log_tail)"
    " VALUES (timestamptz 'epoch' + $1::bigint * interval '1 microsecond', $2, $3, $4, $5::text[])"
    " RETURNING id";

// Ids only grow, so the primary key finds the old rows.
constexpr const char* delete_old = "DELETE FROM crashes WHERE id <= $1";

const std::string select_newest_crashes =
    "SELECT id, " + microseconds("at") +
    ", model, reason, detail FROM crashes ORDER BY at DESC, id DESC LIMIT $1";

// Lines are selected as rows because the array parser of libpqxx 6.4 takes an unquoted ';' for a
// separator.
constexpr const char* select_newest_lines =
    "SELECT newest.id, tail.line"
    " FROM (SELECT id, log_tail FROM crashes ORDER BY at DESC, id DESC LIMIT $1) newest,"
    " unnest(newest.log_tail) WITH ORDINALITY tail(line, number)"
    " ORDER BY newest.id, tail.number";

// Both statements of newest() must see the same rows.
using snapshot = pqxx::transaction<pqxx::isolation_level::repeatable_read>;

std::string tail_literal(const std::vector<std::string>& lines) {
  array_literal tail;
  const std::size_t skipped = lines.size() > max_lines ? lines.size() - max_lines : 0;
  for (std::size_t i = skipped; i < lines.size(); ++i) {
    tail.add(clean_text(lines[i], max_line_bytes));
  }
  return std::move(tail).take();
}

}  // namespace

void crash_store::add(const crash_record& record) {
  db_.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    const pqxx::result inserted = tx.exec_params(
        insert_crash, to_microseconds(record.time), clean_text(record.model, max_name_bytes),
        clean_text(record.reason, max_name_bytes), clean_text(record.detail, max_detail_bytes),
        tail_literal(record.log_tail));
    tx.exec_params(delete_old, inserted[0]["id"].as<std::int64_t>() - max_crashes);
    tx.commit();
  });
}

std::vector<crash_record> crash_store::newest(std::uint32_t limit) {
  std::vector<crash_record> records;
  const std::uint32_t count = std::min(limit, max_newest);
  db_.with_connection([&](session& session) {
    std::map<std::int64_t, std::size_t> index_of;  // by id
    snapshot tx(session.connection);
    for (const auto& row : tx.exec_params(select_newest_crashes, count)) {
      index_of[row["id"].as<std::int64_t>()] = records.size();
      records.push_back({to_time(row["at_us"].as<std::int64_t>()),
                         row["model"].as<std::string>(),
                         row["reason"].as<std::string>(),
                         row["detail"].as<std::string>(),
                         {}});
    }
    const pqxx::result lines = tx.exec_params(select_newest_lines, count);
    const auto id = lines.column_number("id"), line = lines.column_number("line");
    for (const auto& row : lines) {
      crash_record& record = records[index_of.at(row[id].as<std::int64_t>())];
      record.log_tail.push_back(row[line].as<std::string>());
    }
    tx.commit();
  });
  return records;
}

}  // namespace signalbox::persistence
