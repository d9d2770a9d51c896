// Shared parts of the routes that answer in JSON: reading parameters, sending objects.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "actors/messages.hpp"
#include "http/serve/reply.hpp"
#include "http/serve/routes.hpp"

namespace signalbox::http {

constexpr auto ask_timeout = std::chrono::seconds(5);  // longest wait for an actor's answer

// Returns the time by which an order that cannot be undone must begin. It is early enough for the
// order to wait for a lock and still end before its sender gives up.
time_point order_deadline();

responder reply_to(shard& home, const routed_request& request);
void answer_json(const responder& reply, const nlohmann::json& body, int status = 200);
void refuse_without_database(const responder& reply);
// Returns the body, or nothing when it was refused: it is not JSON, or no object.
std::optional<nlohmann::json> read_object(const responder& reply, const routed_request& request);

// Returns whether the query string is absent or can be decoded.
bool has_readable_query(const restinio::http_request_header_t& header);
// Whether each % in it is followed by two hexadecimal digits, and all else is allowed there.
bool has_valid_encoding(const restinio::http_request_header_t& header);
// Returns the percent-decoded parameter; empty when it is missing or cannot be decoded.
std::string query_value(const restinio::request_handle_t& client, const char* name);
std::string parameter_of(const routed_request& request);
// Returns the parameter `limit`, 100 if it is missing; nothing when it is not a number from 1 to
// 1000.
std::optional<std::uint32_t> limit_of(const routed_request& request);
// Returns the parameter as true or false, however clients spell it (True, 1, yes, on); `otherwise`
// if it is missing; nothing when it is neither.
std::optional<bool> bool_of(const routed_request& request, const char* name, bool otherwise);

}  // namespace signalbox::http
