#include "persistence/key_store.hpp"

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "persistence/array_literal.hpp"
#include "persistence/columns.hpp"
#include "persistence/crypto.hpp"
#include "persistence/session.hpp"
#include "text/utf8.hpp"

namespace signalbox::persistence {

namespace {

// Writers take turns, so that versions are committed in ascending order.
constexpr const char* lock_keys = "LOCK TABLE api_keys IN SHARE ROW EXCLUSIVE MODE";

constexpr const char* insert_keys =
    "INSERT INTO api_keys (id, name, owner, hint, digest, scopes, models, weight,"
    " requests_per_minute, burst, tokens_per_minute, max_concurrent, tokens_per_day, expires_at,"
    " version)"
    " SELECT row.id, row.name, row.owner, row.hint, decode(row.digest, 'hex'),"
    " string_to_array(row.scopes, E'\\n'), string_to_array(row.models, E'\\n'), row.weight,"
    " row.requests, row.burst, row.tokens, row.concurrent, row.day_tokens,"
    " timestamptz 'epoch' + nullif(row.expires_at, '')::bigint * interval '1 microsecond',"
    " nextval('api_key_versions')"
    " FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],"
    " $7::text[], $8::float8[], $9::float8[], $10::float8[], $11::float8[], $12::bigint[],"
    " $13::bigint[], $14::text[]) AS row(id, name, owner, hint, digest, scopes, models, weight,"
    " requests, burst, tokens, concurrent, day_tokens, expires_at)"
    // The secret must not be the present or former secret of another key.
    " WHERE NOT EXISTS (SELECT FROM api_keys WHERE old_digest = decode(row.digest, 'hex'))"
    " ON CONFLICT DO NOTHING";
constexpr std::size_t insert_columns = 14, insert_rows = 1000;

constexpr const char* update_one =
    "UPDATE api_keys SET name = $2, owner = $3, scopes = $4::text[], models = $5::text[],"
    " weight = $6, requests_per_minute = $7, burst = $8, tokens_per_minute = $9,"
    " max_concurrent = $10, tokens_per_day = $11,"
    " expires_at = timestamptz 'epoch' + $12::bigint * interval '1 microsecond',"
    " version = nextval('api_key_versions')"
    " WHERE id = $1 AND revoked_at IS NULL";

constexpr const char* rotate_one =
    "UPDATE api_keys SET old_digest = digest, old_until = now() + $4::float8 * interval '1 second',"
    " digest = decode($2, 'hex'), hint = $3, version = nextval('api_key_versions')"
    " WHERE id = $1 AND revoked_at IS NULL";

constexpr const char* revoke_one =
    "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()),"
    " version = nextval('api_key_versions') WHERE id = $1";

// Lists are selected as lines: names hold no line breaks, and the array parser of libpqxx 6.4 takes
// an unquoted ';' for a separator.
const std::string select_keys =
    "SELECT id, name, owner, hint, encode(digest, 'hex') AS digest,"
    " encode(old_digest, 'hex') AS old_digest, " +
    microseconds("old_until") +
    ", array_to_string(scopes, E'\\n') AS scopes, array_to_string(models, E'\\n') AS models, "
    "weight,"
    " requests_per_minute, burst, tokens_per_minute, max_concurrent, tokens_per_day, " +
    microseconds("created_at") + ", " + microseconds("expires_at") + ", " +
    microseconds("revoked_at") + ", version FROM api_keys ";

const std::string select_one = select_keys + "WHERE id = $1";
const std::string select_named = select_keys + "WHERE id = ANY ($1::text[])";
const std::string select_changed = select_keys + "WHERE version > $1 ORDER BY version LIMIT $2";
const std::string select_newest_keys =
    select_keys +
    "WHERE $2 = '' OR (created_at, id) < (SELECT created_at, id FROM api_keys WHERE id = $2)"
    " ORDER BY created_at DESC, id DESC LIMIT $1";

constexpr const char* upsert_states =
    "INSERT INTO key_limit_states AS s (key_id, requests_full_at, tokens_full_at)"
    " SELECT row.key_id, timestamptz 'epoch' + row.requests * interval '1 microsecond',"
    " timestamptz 'epoch' + row.tokens * interval '1 microsecond'"
    " FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS row(key_id, requests, tokens)"
    " ORDER BY row.key_id"
    " ON CONFLICT (key_id) DO UPDATE SET requests_full_at = excluded.requests_full_at,"
    " tokens_full_at = excluded.tokens_full_at";

constexpr const char* delete_full_states =
    "DELETE FROM key_limit_states WHERE greatest(requests_full_at, tokens_full_at) < now()";

const std::string select_states = "SELECT key_id, " + microseconds("requests_full_at") + ", " +
                                  microseconds("tokens_full_at") + " FROM key_limit_states";

constexpr const char* select_used =
    "SELECT key_id, sum(prompt_tokens + completion_tokens)::bigint AS tokens"
    " FROM usage_daily WHERE day = date '1970-01-01' + $1::int GROUP BY key_id";

// The columns of select_keys, looked up once for all rows: there may be 100,000.
struct key_columns {
  using number = pqxx::row_size_type;

  const pqxx::result& rows;
  number id = rows.column_number("id");
  number name = rows.column_number("name");
  number owner = rows.column_number("owner");
  number hint = rows.column_number("hint");
  number digest = rows.column_number("digest");
  number old_digest = rows.column_number("old_digest");
  number old_until_us = rows.column_number("old_until_us");
  number scopes = rows.column_number("scopes");
  number models = rows.column_number("models");
  number weight = rows.column_number("weight");
  number requests_per_minute = rows.column_number("requests_per_minute");
  number burst = rows.column_number("burst");
  number tokens_per_minute = rows.column_number("tokens_per_minute");
  number max_concurrent = rows.column_number("max_concurrent");
  number tokens_per_day = rows.column_number("tokens_per_day");
  number created_at_us = rows.column_number("created_at_us");
  number expires_at_us = rows.column_number("expires_at_us");
  number revoked_at_us = rows.column_number("revoked_at_us");
  number version = rows.column_number("version");
};

key_record to_key(const key_columns& at, const pqxx::row& row) {
  key_record key;
  key.id = row[at.id].as<std::string>();
  key.name = row[at.name].as<std::string>();
  key.owner = row[at.owner].as<std::string>();
  key.hint = row[at.hint].as<std::string>();
  key.digest = digest_from_hex(row[at.digest].as<std::string>());
  if (!row[at.old_digest].is_null()) {
    key.old_digest = digest_from_hex(row[at.old_digest].as<std::string>());
    key.old_until = to_time(row[at.old_until_us].as<std::int64_t>());
  }
  key.scopes = to_lines(row[at.scopes].as<std::string>());
  key.models = to_lines(row[at.models].as<std::string>());
  key.weight = row[at.weight].as<double>();
  key.limits = {.requests_per_minute = row[at.requests_per_minute].as<double>(),
                .burst = row[at.burst].as<double>(),
                .tokens_per_minute = row[at.tokens_per_minute].as<double>(),
                .max_concurrent = row[at.max_concurrent].as<std::uint32_t>(),
                .tokens_per_day = row[at.tokens_per_day].as<std::uint64_t>()};
  key.created_at = to_time(row[at.created_at_us].as<std::int64_t>());
  key.expires_at = optional_time(row[at.expires_at_us]);
  key.revoked_at = optional_time(row[at.revoked_at_us]);
  key.version = row[at.version].as<std::int64_t>();
  return key;
}

std::vector<key_record> to_keys(const pqxx::result& rows) {
  std::vector<key_record> keys;
  const key_columns columns{rows};
  for (const auto& row : rows) keys.push_back(to_key(columns, row));
  return keys;
}

std::array<std::string, insert_columns> row_of(const key_record& key) {
  const auto& l = key.limits;
  const auto expires_at = to_microseconds(key.expires_at);
  return {clean_text(key.id, max_name_bytes),
          clean_text(key.name, max_name_bytes),
          clean_text(key.owner, max_name_bytes),
          clean_text(key.hint, max_name_bytes),
          to_hex(key.digest),
          from_lines(key.scopes),
          from_lines(key.models),
          pqxx::to_string(key.weight),
          pqxx::to_string(l.requests_per_minute),
          pqxx::to_string(l.burst),
          pqxx::to_string(l.tokens_per_minute),
          pqxx::to_string(l.max_concurrent),
          pqxx::to_string(l.tokens_per_day),
          expires_at ? pqxx::to_string(*expires_at) : ""};
}

// Returns false when any key was not inserted.
bool insert(pqxx::work& tx, const key_record* first, std::size_t count) {
  std::array<array_literal, insert_columns> columns;
  for (const auto* key = first; key != first + count; ++key) {
    const auto row = row_of(*key);
    for (std::size_t i = 0; i < row.size(); ++i) columns[i].add(row[i]);
  }
  const auto inserted = std::apply(
      [&](auto&... column) { return tx.exec_params(insert_keys, std::move(column).take()...); },
      columns);
  return inserted.affected_rows() == count;
}

// Runs a statement that changes one key; returns whether it did.
template <typename... Parameters>
bool change(database& db, const char* statement, const Parameters&... parameters) {
  bool changed = false;
  db.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    lock_table(tx, lock_keys);
    changed = tx.exec_params(statement, parameters...).affected_rows() == 1;
    tx.commit();
  });
  return changed;
}

}  // namespace

bool key_store::add(const std::vector<key_record>& keys) {
  bool added = true;
  db_.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    lock_table(tx, lock_keys);
    for (std::size_t at = 0; added && at < keys.size(); at += insert_rows) {
      added = insert(tx, keys.data() + at, std::min(insert_rows, keys.size() - at));
    }
    if (added) tx.commit();
  });
  return added;
}

bool key_store::update(const key_record& key) {
  const auto& l = key.limits;
  return change(db_, update_one, key.id, clean_text(key.name, max_name_bytes),
                clean_text(key.owner, max_name_bytes), to_array(key.scopes), to_array(key.models),
                key.weight, l.requests_per_minute, l.burst, l.tokens_per_minute,
                static_cast<std::int64_t>(l.max_concurrent),
                static_cast<std::int64_t>(l.tokens_per_day), to_microseconds(key.expires_at));
}

bool key_store::rotate(const rotate_key& order) {
  return change(db_, rotate_one, clean_text(order.id, max_name_bytes), to_hex(order.digest),
                clean_text(order.hint, max_name_bytes), order.grace_s);
}

bool key_store::revoke(const std::string& id) {
  return change(db_, revoke_one, clean_text(id, max_name_bytes));
}

std::optional<key_record> key_store::find(const std::string& id) {
  auto found = to_keys(read_rows(db_, select_one, clean_text(id, max_name_bytes)));
  if (found.empty()) return std::nullopt;
  return std::move(found.front());
}

std::vector<key_record> key_store::find_all(const std::vector<std::string>& ids) {
  return to_keys(read_rows(db_, select_named, to_array(ids)));
}

std::vector<key_record> key_store::newest(std::uint32_t limit, const std::string& after) {
  return to_keys(read_rows(db_, select_newest_keys, limit, clean_text(after, max_name_bytes)));
}

std::vector<key_record> key_store::changed_since(std::int64_t version, std::uint32_t limit) {
  return to_keys(read_rows(db_, select_changed, version, limit));
}

void key_store::save_states(const std::vector<key_limit_state>& states) {
  array_literal ids, requests, tokens;
  for (const auto& state : states) {
    ids.add(clean_text(state.key_id, max_name_bytes));
    requests.add(std::to_string(to_microseconds(state.requests_full_at)));
    tokens.add(std::to_string(to_microseconds(state.tokens_full_at)));
  }
  db_.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    tx.exec_params(upsert_states, std::move(ids).take(), std::move(requests).take(),
                   std::move(tokens).take());
    tx.exec(delete_full_states);
    tx.commit();
  });
}

std::vector<key_limit_state> key_store::states() {
  std::vector<key_limit_state> states;
  const auto rows = read_rows(db_, select_states);
  const auto key_id = rows.column_number("key_id");
  const auto requests = rows.column_number("requests_full_at_us");
  const auto tokens = rows.column_number("tokens_full_at_us");
  for (const auto& row : rows) {
    states.push_back({row[key_id].as<std::string>(), to_time(row[requests].as<std::int64_t>()),
                      to_time(row[tokens].as<std::int64_t>())});
  }
  return states;
}

std::vector<key_day_use> key_store::used_on(std::int32_t date) {
  std::vector<key_day_use> used;
  const auto rows = read_rows(db_, select_used, date);
  const auto key_id = rows.column_number("key_id");
  const auto tokens = rows.column_number("tokens");
  for (const auto& row : rows) {
    used.push_back({row[key_id].as<std::string>(), date, row[tokens].as<std::uint64_t>()});
  }
  return used;
}

}  // namespace signalbox::persistence
