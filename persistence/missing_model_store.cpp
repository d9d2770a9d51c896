#include "persistence/array_literal.hpp"
#include "persistence/columns.hpp"
#include "persistence/session.hpp"
#include "persistence/stores.hpp"
#include "text/utf8.hpp"

namespace signalbox::persistence {

namespace {

// Values are totals, so a save that is repeated because its answer was lost counts nothing twice.
constexpr const char* upsert_missing =
    "INSERT INTO missing_models AS m (model, requests, first_seen, last_seen, last_client_id,"
    " last_key_id)"
    " SELECT row.model, row.requests, timestamptz 'epoch' + row.first * interval '1 microsecond',"
    " timestamptz 'epoch' + row.last * interval '1 microsecond', row.client, row.key"
    " FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[])"
    " AS row(model, requests, first, last, client, key) ORDER BY row.model"
    " ON CONFLICT (model) DO UPDATE SET requests = greatest(m.requests, excluded.requests),"
    " first_seen = least(m.first_seen, excluded.first_seen),"
    " last_seen = greatest(m.last_seen, excluded.last_seen),"
    " last_client_id = excluded.last_client_id, last_key_id = excluded.last_key_id";

constexpr const char* delete_oldest_missing =
    "DELETE FROM missing_models WHERE model IN"
    " (SELECT model FROM missing_models ORDER BY last_seen DESC, model OFFSET $1)";

const std::string select_missing =
    "SELECT model, requests, " + microseconds("first_seen") + ", " + microseconds("last_seen") +
    ", last_client_id, last_key_id FROM missing_models ORDER BY last_seen DESC, model LIMIT $1";

}  // namespace

void missing_model_store::save(const std::vector<missing_model>& models) {
  array_literal names, requests, first, last, clients, keys;
  for (const auto& m : models) {
    names.add(clean_text(m.model, max_name_bytes));
    requests.add(std::to_string(m.requests));
    first.add(std::to_string(to_microseconds(m.first_seen)));
    last.add(std::to_string(to_microseconds(m.last_seen)));
    clients.add(clean_text(m.last_client_id, max_name_bytes));
    keys.add(clean_text(m.last_key_id, max_name_bytes));
  }
  db_.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    tx.exec_params(upsert_missing, std::move(names).take(), std::move(requests).take(),
                   std::move(first).take(), std::move(last).take(), std::move(clients).take(),
                   std::move(keys).take());
    tx.exec_params(delete_oldest_missing, max_missing_models);
    tx.commit();
  });
}

std::vector<missing_model> missing_model_store::newest() {
  std::vector<missing_model> models;
  for (const auto& row : read_rows(db_, select_missing, max_missing_models)) {
    missing_model m;
    m.model = row["model"].as<std::string>();
    m.requests = row["requests"].as<std::uint64_t>();
    m.first_seen = to_time(row["first_seen_us"].as<std::int64_t>());
    m.last_seen = to_time(row["last_seen_us"].as<std::int64_t>());
    m.last_client_id = row["last_client_id"].as<std::string>();
    m.last_key_id = row["last_key_id"].as<std::string>();
    models.push_back(std::move(m));
  }
  return models;
}

}  // namespace signalbox::persistence
