// What the routes that answer in JSON share: parameters in, objects out.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "actors/messages.hpp"
#include "http/serve/reply.hpp"
#include "http/serve/routes.hpp"

namespace signalbox::http {

constexpr auto ask_timeout = std::chrono::seconds(5);  // for an actor's answer

// Until when an order that cannot be taken back may be begun: what it may wait for a lock after
// that still ends before its asker gives up.
time_point order_deadline();

responder reply_to(shard& home, const routed_request& request,
                   metric_route route = metric_route::other);
void answer_json(const responder& reply, const nlohmann::json& body, int status = 200);
void refuse_without_database(const responder& reply);

// Whether the query string, if there is one, can be decoded.
bool has_readable_query(const restinio::request_handle_t& client);
// Percent-decoded; empty when it is not there, or does not decode.
std::string query_value(const restinio::request_handle_t& client, const char* name);
std::string parameter_of(const routed_request& request);
// `limit` of the query, 100 when there is none; none when it is no number from 1 to 1000.
std::optional<std::uint32_t> limit_of(const routed_request& request);

}  // namespace signalbox::http
