#include "http/serve/json_route.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <restinio/uri_helpers.hpp>

#include "http/serve/route_path.hpp"
#include "text/ascii.hpp"

namespace signalbox::http {

namespace {

using query_rules = restinio::parse_query_traits::relaxed;  // RFC 3986: allows commas and colons

constexpr auto time_to_carry_out = std::chrono::seconds(3);
constexpr std::uint32_t default_limit = 100, max_limit = 1000;

}  // namespace

time_point order_deadline() {
  return std::chrono::steady_clock::now() + ask_timeout - time_to_carry_out;
}

responder reply_to(shard& home, const routed_request& request) {
  return {home, request};
}

void answer_json(const responder& reply, const nlohmann::json& body, int status) {
  // Names chosen by clients may be invalid UTF-8, which must not throw.
  reply.answer(status, "application/json",
               body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::string query_value(const restinio::request_handle_t& client, const char* name) {
  const auto query = restinio::try_parse_query<query_rules>(client->header().query());
  if (!query || !query->has(name)) return {};
  const auto value = (*query)[name];
  return {value.data(), value.size()};
}

std::string parameter_of(const routed_request& request) {
  return decoded_path(request.parameter).value_or("");
}

std::optional<std::uint32_t> limit_of(const routed_request& request) {
  const auto text = query_value(request.client, "limit");
  if (text.empty()) return default_limit;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > max_limit) {
    return std::nullopt;
  }
  return value;
}

std::optional<bool> bool_of(const routed_request& request, const char* name, bool otherwise) {
  constexpr std::array<std::string_view, 4> yes{"true", "1", "yes", "on"};
  constexpr std::array<std::string_view, 4> no{"false", "0", "no", "off"};
  const auto text = query_value(request.client, name);
  const auto is_word = [&](std::string_view word) { return equals_ignoring_case(text, word); };
  if (text.empty()) return otherwise;
  if (std::any_of(yes.begin(), yes.end(), is_word)) return true;
  if (std::any_of(no.begin(), no.end(), is_word)) return false;
  return std::nullopt;
}

bool has_valid_encoding(const restinio::http_request_header_t& header) {
  using rules = restinio::utils::relaxed_unescape_traits;
  return restinio::utils::try_unescape_percent_encoding<rules>(header.query()).has_value();
}

bool has_readable_query(const restinio::http_request_header_t& header) {
  if (header.query().empty()) return true;
  return restinio::try_parse_query<query_rules>(header.query()).has_value();
}

std::optional<nlohmann::json> read_object(const responder& reply, const routed_request& request) {
  const std::string_view body = request.client->body();
  auto parsed = nlohmann::json::parse(body, nullptr, false);
  if (parsed.is_object()) return parsed;
  reply.refuse(parsed.is_discarded() ? error_code::invalid_json : error_code::invalid_value,
               "The body must be a JSON object.");
  return std::nullopt;
}

void refuse_without_database(const responder& reply) {
  reply.refuse(error_code::database_unavailable,
               "The database is unavailable; please try again later.", {}, {{"Retry-After", "5"}});
}

}  // namespace signalbox::http
