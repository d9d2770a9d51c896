#include "access/key_document.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "access/authentication.hpp"
#include "config/values.hpp"
#include "text/rfc3339.hpp"

namespace signalbox {

namespace {

using nlohmann::json;

constexpr std::size_t max_text_bytes = 200;
constexpr std::size_t max_models = 1000;
constexpr double min_weight = 0.01, max_weight = 1000;
constexpr double max_rate = 1e9, max_day_tokens = 1e15, max_concurrent_requests = 1e6;
constexpr double ten_years_s = 10 * 365.25 * 86400;

using field_problem = std::optional<document_problem>;

field_problem wrong(const std::string& field, const std::string& allowed) {
  return document_problem{field + " must be " + allowed + ".", field};
}

field_problem unknown(const std::string& field) {
  return document_problem{"The field " + field + " is unknown.", field};
}

// Control characters are refused because names end up in logs, headers and lists of lines.
bool is_text(const json& value) {
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  return text.size() <= max_text_bytes && config::is_plain_text(text);
}

field_problem read_text(const json& value, const std::string& field, std::string& out) {
  if (!is_text(value)) return wrong(field, "a text of up to 200 bytes without control characters");
  out = value.get<std::string>();
  return std::nullopt;
}

field_problem read_scopes(const json& value, const std::string& field,
                          std::vector<std::string>& out) {
  const auto is_scope = [](const json& name) {
    return name.is_string() && parse_scope(name.get_ref<const std::string&>());
  };
  if (!value.is_array() || value.empty() || !std::all_of(value.begin(), value.end(), is_scope)) {
    return wrong(field, std::string("a list of ") + scope_list);
  }
  out = value.get<std::vector<std::string>>();
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return std::nullopt;
}

field_problem read_models(const json& value, const std::string& field,
                          std::vector<std::string>& out) {
  const auto is_name = [](const json& name) {
    return is_text(name) && !name.get_ref<const std::string&>().empty();
  };
  if (!value.is_array() || value.size() > max_models ||
      !std::all_of(value.begin(), value.end(), is_name)) {
    return wrong(field, "a list of up to 1000 model names; an empty one allows all");
  }
  out = value.get<std::vector<std::string>>();
  return std::nullopt;
}

template <typename Number>
field_problem read_number(const json& value, const std::string& field, double min, double max,
                          Number& out) {
  constexpr bool is_whole = std::is_integral_v<Number>;
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  if (!(number >= min && number <= max) || (is_whole && number != std::floor(number))) {
    return wrong(field, std::string(is_whole ? "a whole number" : "a number") + " from " +
                            json(min).dump() + " to " + json(max).dump());
  }
  out = static_cast<Number>(number);
  return std::nullopt;
}

field_problem read_limits(const json& value, scheduling::key_limits& out) {
  if (!value.is_object()) return wrong("limits", "an object");
  const auto read_one = [&out](const std::string& name, const json& number) {
    const auto field = "limits." + name;
    if (name == "requests_per_minute") {
      return read_number(number, field, 0, max_rate, out.requests_per_minute);
    }
    if (name == "burst") return read_number(number, field, 0, max_rate, out.burst);
    if (name == "tokens_per_minute") {
      return read_number(number, field, 0, max_rate, out.tokens_per_minute);
    }
    if (name == "max_concurrent") {
      return read_number(number, field, 0, max_concurrent_requests, out.max_concurrent);
    }
    if (name == "tokens_per_day") {
      return read_number(number, field, 0, max_day_tokens, out.tokens_per_day);
    }
    return unknown(field);
  };
  for (const auto& [name, number] : value.items()) {
    if (auto found = read_one(name, number)) return found;
  }
  return std::nullopt;
}

field_problem read_expiry(const json& value, wall_time now, std::optional<wall_time>& out) {
  if (value.is_null()) {
    out.reset();
    return std::nullopt;
  }
  const auto at = value.is_string() ? parse_rfc3339(value.get<std::string>()) : std::nullopt;
  if (!at || *at <= now)
    return wrong("expires_at", "a time in the future, such as 2030-01-31T00:00:00Z");
  out = at;
  return std::nullopt;
}

field_problem read_lifetime(const json& value, wall_time now, std::optional<wall_time>& out) {
  double seconds = 0;
  if (auto found = read_number(value, "expires_in_s", 1, ten_years_s, seconds)) return found;
  out = now + from_seconds(seconds);
  return std::nullopt;
}

field_problem apply_field(const std::string& name, const json& value, wall_time now,
                          key_record& key) {
  if (name == "name") return read_text(value, name, key.name);
  if (name == "owner") return read_text(value, name, key.owner);
  if (name == "scopes") return read_scopes(value, name, key.scopes);
  if (name == "models") return read_models(value, name, key.models);
  if (name == "weight") return read_number(value, name, min_weight, max_weight, key.weight);
  if (name == "limits") return read_limits(value, key.limits);
  if (name == "expires_at") return read_expiry(value, now, key.expires_at);
  if (name == "expires_in_s") return read_lifetime(value, now, key.expires_at);
  return unknown(name);
}

json time_or_null(const std::optional<wall_time>& at) {
  return at ? json(rfc3339(*at)) : json(nullptr);
}

}  // namespace

std::optional<document_problem> apply_fields(const json& fields, wall_time now, key_record& key) {
  if (!fields.is_object()) return document_problem{"The body must be a JSON object.", ""};
  auto changed = key;
  for (const auto& [name, value] : fields.items()) {
    if (auto found = apply_field(name, value, now, changed)) return found;
  }
  key = std::move(changed);
  return std::nullopt;
}

json to_document(const key_record& key) {
  const auto& l = key.limits;
  return {{"id", key.id},
          {"object", "api_key"},
          {"name", key.name},
          {"owner", key.owner},
          {"hint", key.hint},
          {"scopes", key.scopes},
          {"models", key.models},
          {"weight", key.weight},
          {"limits",
           {{"requests_per_minute", l.requests_per_minute},
            {"burst", l.burst},
            {"tokens_per_minute", l.tokens_per_minute},
            {"max_concurrent", l.max_concurrent},
            {"tokens_per_day", l.tokens_per_day}}},
          {"created_at", rfc3339(key.created_at)},
          {"expires_at", time_or_null(key.expires_at)},
          {"revoked_at", time_or_null(key.revoked_at)},
          {"old_secret_until", key.old_digest ? json(rfc3339(key.old_until)) : json(nullptr)}};
}

}  // namespace signalbox
