#include "http/admin/usage_routes.hpp"

#include <spdlog/spdlog.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "access/usage_query.hpp"
#include "actors/control_plane.hpp"
#include "http/serve/gateway_state.hpp"
#include "http/serve/json_route.hpp"
#include "http/serve/routes.hpp"
#include "text/rfc3339.hpp"

namespace signalbox::http {

namespace {

using nlohmann::json;

constexpr std::int32_t default_days = 30;

// Asks the ledger for a report. It reads the database and does nothing else meanwhile, so the
// number of waiting queries is bounded. A query holds its place until it is answered or dropped,
// even when its client has gone.
template <class Answer, class Question>
void ask_ledger(shard& home, const responder& reply, Question question,
                std::function<json(const Answer&)> to_body) {
  auto& gateway = home.gateway();
  question.wait = {gateway.take_report_place(), std::chrono::steady_clock::now() + ask_timeout};
  if (!question.wait.place) {
    return reply.refuse(error_code::database_unavailable,
                        "Too many reports are waiting; please try again later.", {},
                        {{"Retry-After", "1"}});
  }
  gateway.control().ask<Answer>(
      gateway.control().handles()->usage, ask_timeout, std::move(question),
      [reply, to_body = std::move(to_body)](const Answer& answer) {
        answer_json(reply, to_body(answer));
      },
      [reply](const std::string& error) {
        spdlog::warn("usage report: {}", error);
        reply.refuse(error_code::database_unavailable,
                     "The database did not answer in time; please try again later.", {},
                     {{"Retry-After", "5"}});
      });
}

// Fills `query` from the query string, or returns what is wrong with it.
std::optional<std::string> read_query(const routed_request& request, list_usage& query) {
  const auto value = [&](const char* name) { return query_value(request.client, name); };
  const auto limit = limit_of(request);
  if (!limit) return "limit must be a number from 1 to 1000.";
  query.limit = *limit;
  const auto words = value("group_by");
  const auto by = parse_grouping(words.empty() ? "day" : words);
  if (!by)
    return "group_by must be a list of key, client, model, source and day, separated by commas.";
  query.by = *by;
  const auto start = value("start"), end = value("end"), cursor = value("cursor");
  const auto last = end.empty() ? day_of(std::chrono::system_clock::now()) : parse_day(end);
  if (!last) return "end must be a day in the form YYYY-MM-DD.";
  const auto first = start.empty() ? *last - default_days + 1 : parse_day(start);
  if (!first) return "start must be a day in the form YYYY-MM-DD.";
  if (*first > *last) return "start must not be after end.";
  query.first_day = *first;
  query.last_day = *last;
  if (cursor.empty()) return std::nullopt;
  query.after = parse_cursor(*by, cursor);
  if (!query.after) return "cursor must be the `next` of a previous page with the same group_by.";
  return std::nullopt;
}

}  // namespace

void list_usage_groups(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  list_usage query;
  if (auto problem = read_query(request, query)) {
    return reply.refuse(error_code::invalid_value, std::move(*problem));
  }
  if (!request.who->may(scope::monitor)) query.key_id = request.who->key_id;
  ask_ledger<usage_report>(home, reply, query, [query](const usage_report& report) {
    json data = json::array();
    for (const auto& group : report.groups) data.push_back(to_document(query.by, group));
    const bool may_go_on = report.groups.size() == query.limit;
    return json{
        {"object", "list"},
        {"start", day_text(query.first_day)},
        {"end", day_text(query.last_day)},
        {"data", data},
        {"next", may_go_on ? json(cursor_of(query.by, report.groups.back())) : json(nullptr)}};
  });
}

void list_usage_of_keys(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto refuse = [&](const char* problem) {
    reply.refuse(error_code::invalid_value, problem);
  };
  const auto limit = limit_of(request);
  if (!limit) return refuse("limit must be a number from 1 to 1000.");
  list_key_usage query;
  query.limit = *limit;
  std::optional<std::string> bucket;
  if (auto text = query_value(request.client, "bucket"); !text.empty()) {
    query.day = parse_bucket(text);
    if (!query.day) return refuse("bucket must be a day in the form YYYYMMDD.");
    bucket = std::move(text);
  }
  const auto after = parse_key_cursor(query_value(request.client, "cursor"));
  if (!after) return refuse("cursor must be the `cursor` of the previous page, or 0.");
  query.after = *after;
  ask_ledger<key_usage_report>(home, reply, query, [query, bucket](const key_usage_report& report) {
    json items = json::array();
    for (const auto& key : report.keys) items.push_back(to_document(key, bucket));
    const bool may_go_on = report.keys.size() == query.limit;
    return json{{"items", items},
                {"cursor", may_go_on ? key_cursor_of(report.keys.back().key_id) : "0"},
                {"bucket", bucket ? json(*bucket) : json(nullptr)}};
  });
}

void list_models_missing(shard& home, routed_request request) {
  const auto reply = reply_to(home, request);
  const auto limit = limit_of(request);
  if (!limit) {
    return reply.refuse(error_code::invalid_value, "limit must be a number from 1 to 1000.");
  }
  ask_ledger<missing_model_list>(
      home, reply, list_missing_models{*limit}, [](const missing_model_list& list) {
        json body = json::array();
        for (const auto& m : list.models) {
          body.push_back(
              {{"model_name", m.model},
               {"client_id", m.last_client_id.empty() ? json(nullptr) : json(m.last_client_id)},
               {"timestamp", rfc3339(m.last_seen)},
               {"key_id", m.last_key_id},
               {"requests", m.requests},
               {"first_seen", rfc3339(m.first_seen)}});
        }
        return body;
      });
}

}  // namespace signalbox::http
