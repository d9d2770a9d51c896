#include <algorithm>
#include <array>
#include <stdexcept>
#include <tuple>

#include "persistence/session.hpp"
#include "persistence/stores.hpp"
#include "persistence/text.hpp"

namespace signalbox {

std::string_view to_string(usage_source value) {
  switch (value) {
    case usage_source::realtime:
      return "realtime";
    case usage_source::batch:
      return "batch";
    case usage_source::eval:
      return "eval";
  }
  return "unknown";
}

}  // namespace signalbox

namespace signalbox::persistence {

namespace {

// Three of them fit into an index entry (2704 bytes).
constexpr std::size_t name_limit = 256;  // bytes
// More than this in one row is a runtime's nonsense; cut, so that sums stay inside a bigint.
constexpr std::uint64_t token_limit = 1'000'000'000'000;

constexpr const char* insert_batch =
    "INSERT INTO usage_batches (id) VALUES ($1::uuid) ON CONFLICT DO NOTHING";

constexpr const char* delete_old_batches =
    "DELETE FROM usage_batches WHERE id IN"
    " (SELECT id FROM usage_batches WHERE applied_at < now() - interval '7 days'"
    "  ORDER BY applied_at LIMIT 10000 FOR UPDATE SKIP LOCKED)";

constexpr const char* upsert_usage =
    "INSERT INTO usage_daily AS u (day, key_id, model, source, requests, successes, errors,"
    " cancelled, prompt_tokens, completion_tokens, estimated)"
    " SELECT date '1970-01-01' + row.day, row.key_id, row.model, row.source, row.requests,"
    " row.successes, row.errors, row.cancelled, row.prompt_tokens, row.completion_tokens,"
    " row.estimated"
    " FROM unnest($1::int[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[],"
    " $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])"
    " AS row(day, key_id, model, source, requests, successes, errors, cancelled, prompt_tokens,"
    " completion_tokens, estimated)"
    " ON CONFLICT (day, key_id, model, source) DO UPDATE SET"
    " requests = u.requests + excluded.requests,"
    " successes = u.successes + excluded.successes,"
    " errors = u.errors + excluded.errors,"
    " cancelled = u.cancelled + excluded.cancelled,"
    " prompt_tokens = u.prompt_tokens + excluded.prompt_tokens,"
    " completion_tokens = u.completion_tokens + excluded.completion_tokens,"
    " estimated = u.estimated + excluded.estimated";

constexpr const char* select_usage =
    "SELECT day - date '1970-01-01', key_id, model, source, requests, successes, errors,"
    " cancelled, prompt_tokens, completion_tokens, estimated"
    " FROM usage_daily WHERE $1::int < 0 OR day = date '1970-01-01' + $1::int"
    " ORDER BY day, key_id, model, source";

// In the order of the statements above.
constexpr std::array<std::uint64_t usage_row::*, 7> counts{
    &usage_row::requests,  &usage_row::successes,     &usage_row::errors,
    &usage_row::cancelled, &usage_row::prompt_tokens, &usage_row::completion_tokens,
    &usage_row::estimated};

auto key_of(const usage_row& row) {
  return std::tie(row.day, row.key_id, row.model, row.source);
}

// One row for each key, in the order of the keys: every writer locks rows in the same order.
std::vector<usage_row> merge(std::vector<usage_row> rows) {
  for (usage_row& row : rows) {
    row.key_id = clean_text(row.key_id, name_limit);
    row.model = clean_text(row.model, name_limit);
    row.prompt_tokens = std::min(row.prompt_tokens, token_limit);
    row.completion_tokens = std::min(row.completion_tokens, token_limit);
  }
  std::sort(rows.begin(), rows.end(),
            [](const usage_row& a, const usage_row& b) { return key_of(a) < key_of(b); });
  std::vector<usage_row> merged;
  for (usage_row& row : rows) {
    if (merged.empty() || key_of(merged.back()) != key_of(row)) {
      merged.push_back(std::move(row));
      continue;
    }
    for (const auto count : counts) merged.back().*count += row.*count;
  }
  return merged;
}

void upsert(pqxx::work& tx, const std::vector<usage_row>& rows) {
  array_literal days, keys, models, sources;
  std::array<array_literal, counts.size()> numbers;
  for (const usage_row& row : rows) {
    days.add(std::to_string(row.day));
    keys.add(row.key_id);
    models.add(row.model);
    sources.add(to_string(row.source));
    for (std::size_t i = 0; i < counts.size(); ++i) numbers[i].add(std::to_string(row.*counts[i]));
  }
  std::apply(
      [&](auto&... number) {
        tx.exec_params(upsert_usage, std::move(days).take(), std::move(keys).take(),
                       std::move(models).take(), std::move(sources).take(),
                       std::move(number).take()...);
      },
      numbers);
}

usage_source parse_source(const std::string& text) {
  for (const auto source : {usage_source::realtime, usage_source::batch, usage_source::eval}) {
    if (text == to_string(source)) return source;
  }
  throw std::runtime_error("usage_daily holds an unknown source: " + text);
}

}  // namespace

void usage_store::add(const std::string& batch_id, std::vector<usage_row> rows) {
  if (rows.empty()) return;
  const std::vector<usage_row> merged = merge(std::move(rows));
  db_.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    if (tx.exec_params(insert_batch, batch_id).affected_rows() == 0) return;  // added before
    upsert(tx, merged);
    // Ids are random: one batch in 256 also clears away what nobody will send again.
    if (batch_id.rfind("00", 0) == 0) tx.exec(delete_old_batches);
    tx.commit();
  });
}

std::vector<usage_row> usage_store::rows_of_day(std::int32_t day) {
  std::vector<usage_row> rows;
  db_.with_connection([&](session& session) {
    pqxx::read_transaction tx(session.connection);
    for (const auto& row : tx.exec_params(select_usage, day)) {
      usage_row found;
      found.day = row[0].as<std::int32_t>();
      found.key_id = row[1].as<std::string>();
      found.model = row[2].as<std::string>();
      found.source = parse_source(row[3].as<std::string>());
      for (std::size_t i = 0; i < counts.size(); ++i) {
        found.*counts[i] = row[static_cast<int>(i) + 4].as<std::uint64_t>();
      }
      rows.push_back(std::move(found));
    }
    tx.commit();
  });
  return rows;
}

}  // namespace signalbox::persistence
