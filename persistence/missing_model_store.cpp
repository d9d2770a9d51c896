#include "persistence/array_literal.hpp"
#include "persistence/session.hpp"
#include "persistence/stores.hpp"
#include "text/utf8.hpp"

namespace signalbox::persistence {

namespace {

constexpr std::size_t name_bytes = 256;

// Sums, so that one that was saved before, although the answer was lost, is not added again.
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

constexpr const char* select_missing =
    "SELECT model, requests, (extract(epoch FROM first_seen) * 1000000)::bigint,"
    " (extract(epoch FROM last_seen) * 1000000)::bigint, last_client_id, last_key_id"
    " FROM missing_models ORDER BY last_seen DESC, model LIMIT $1";

std::string microseconds_of(wall_time at) {
  return std::to_string(
      std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count());
}

}  // namespace

void missing_model_store::save(const std::vector<missing_model>& models) {
  array_literal names, requests, first, last, clients, keys;
  for (const auto& m : models) {
    names.add(clean_text(m.model, name_bytes));
    requests.add(std::to_string(m.requests));
    first.add(microseconds_of(m.first_seen));
    last.add(microseconds_of(m.last_seen));
    clients.add(clean_text(m.last_client_id, name_bytes));
    keys.add(clean_text(m.last_key_id, name_bytes));
  }
  db_.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    tx.exec_params(upsert_missing, std::move(names).take(), std::move(requests).take(),
                   std::move(first).take(), std::move(last).take(), std::move(clients).take(),
                   std::move(keys).take());
    tx.exec_params(delete_oldest_missing, missing_model_limit);
    tx.commit();
  });
}

std::vector<missing_model> missing_model_store::newest() {
  std::vector<missing_model> models;
  db_.with_connection([&](session& session) {
    pqxx::read_transaction tx(session.connection);
    for (const auto& row : tx.exec_params(select_missing, missing_model_limit)) {
      missing_model m;
      m.model = row[0].as<std::string>();
      m.requests = row[1].as<std::uint64_t>();
      m.first_seen = wall_time(std::chrono::microseconds(row[2].as<std::int64_t>()));
      m.last_seen = wall_time(std::chrono::microseconds(row[3].as<std::int64_t>()));
      m.last_client_id = row[4].as<std::string>();
      m.last_key_id = row[5].as<std::string>();
      models.push_back(std::move(m));
    }
    tx.commit();
  });
  return models;
}

}  // namespace signalbox::persistence
