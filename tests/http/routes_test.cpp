// The router and the contract agree, both ways; errors have the shape that the contract says.
#include "http/serve/routes.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "http/admin/openapi.hpp"
#include "http/serve/error.hpp"
#include "http/serve/route_path.hpp"

using namespace signalbox::http;
using nlohmann::json;
using signalbox::scope;

namespace {

json contract() {
  return json::parse(openapi_json());
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out) c = static_cast<char>(std::tolower(c));
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(route_table)

BOOST_AUTO_TEST_CASE(every_route_stands_in_the_contract_and_the_other_way_round) {
  std::set<std::string> routed, written;
  for (const auto& r : routes()) routed.insert(lower(r.method) + " " + std::string(r.path));
  const auto document = contract();
  for (const auto& [path, methods] : document["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) written.insert(method + " " + path);
  }
  BOOST_CHECK_EQUAL_COLLECTIONS(routed.begin(), routed.end(), written.begin(), written.end());
}

BOOST_AUTO_TEST_CASE(a_route_is_open_exactly_where_the_contract_says_so) {
  const auto document = contract();
  for (const auto& r : routes()) {
    const auto& operation = document["paths"][std::string(r.path)][lower(r.method)];
    const bool open = operation.contains("security") && operation["security"].empty();
    BOOST_TEST(open == (r.needed == scope::none), r.path);
    const auto text = operation.value("description", "");
    if (!open) {
      BOOST_TEST(text.find("Scope " + std::string(to_string(r.needed))) != std::string::npos,
                 r.path);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_route_is_open_with_the_metrics_exactly_where_the_contract_says_so) {
  const auto document = contract();
  for (const auto& r : routes()) {
    const auto& operation = document["paths"][std::string(r.path)][lower(r.method)];
    const auto text = operation.value("description", "");
    BOOST_TEST(
        (text.find("unless metrics.public") != std::string::npos) == r.traits.is_open_with_metrics,
        r.path);
  }
}

BOOST_AUTO_TEST_CASE(routes_that_differ_differ_by_their_rows) {
  const auto row = [](std::string_view path) {
    const auto all = routes();
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const route& r) { return r.path == path; });
    BOOST_REQUIRE(found != all.end());
    return *found;
  };
  const auto chat = row("/v1/chat/completions");
  const auto embeddings = row("/v1/embeddings");
  BOOST_TEST((chat.handler == embeddings.handler));
  BOOST_TEST(chat.traits.estimate_from_length);
  BOOST_TEST(!embeddings.traits.estimate_from_length);  // its answer is no text
  BOOST_TEST((chat.traits.label != embeddings.traits.label));
  BOOST_TEST((row("/health").traits.label == signalbox::metric_route::other));
}

BOOST_AUTO_TEST_CASE(every_route_that_reaches_runtimes_has_a_label) {
  using signalbox::metric_route;
  for (const auto& r : routes()) {
    if (r.traits.is_inference) BOOST_TEST((r.traits.label != metric_route::other), r.path);
  }
}

BOOST_AUTO_TEST_CASE(every_reference_of_the_contract_resolves) {
  const auto document = contract();
  std::function<void(const json&)> walk = [&](const json& node) {
    if (node.is_object() && node.contains("$ref")) {
      const auto pointer = node["$ref"].get<std::string>();
      BOOST_TEST(document.contains(json::json_pointer(pointer.substr(1))), pointer);
    }
    if (node.is_structured()) {
      for (const auto& child : node) walk(child);
    }
  };
  walk(document);
}

BOOST_AUTO_TEST_CASE(every_inference_route_has_a_dialect) {
  for (const auto& r : routes()) {
    if (r.traits.is_inference) BOOST_TEST((r.traits.dialect != dialect::none), r.path);
    if (r.traits.streams_by_default) BOOST_TEST((r.traits.dialect == dialect::ollama), r.path);
    if (r.traits.takes_form || r.traits.takes_any_body) BOOST_TEST(r.traits.is_inference, r.path);
  }
}

BOOST_AUTO_TEST_CASE(a_path_is_found_however_it_is_written) {
  const std::pair<std::string, std::string> cases[] = {
      {"/v1/chat/completions", "/v1/chat/completions"},
      {"/v1/chat/completions/", "/v1/chat/completions"},
      {"/chat/completions", "/v1/chat/completions"},
      {"/chat/completions/?a=/b&c", "/v1/chat/completions?a=/b&c"},
      {"//chat//completions//?a=//", "/v1/chat/completions?a=//"},
      {"http://x/completions?a", "/v1/completions?a"},
      {"/embeddings", "/v1/embeddings"},
      {"/responses", "/v1/responses"},
      {"/messages/", "/v1/messages"},
      {"/messages/count_tokens", "/v1/messages/count_tokens"},
      {"/rerank", "/v1/rerank"},
      {"/score", "/v1/score"},
      {"/audio/speech", "/v1/audio/speech"},
      {"/models", "/v1/models"},
      {"/models/", "/v1/models"},
      {"/v1/models/", "/v1/models"},
      {"/models/some/name", "/v1/models/some/name"},
      {"/api/chat/", "/api/chat"},
      {"/api/tags/", "/api/tags"},
      {"/tokenize/", "/tokenize"},
      {"/slots/", "/slots"},
      {"/upstream/m//v1/x/", "/upstream/m/v1/x/"},
      {"/upstream/m", "/upstream/m"},
      {"/slots/0?action=save", "/slots/0?action=save"},
      // These are nobody's.
      {"/v1/tokenize", "/v1/tokenize"},
      {"/v1/api/chat", "/v1/api/chat"},
      {"/v1/v1/completions", "/v1/v1/completions"},
      {"/completions//x", "/completions/x"},
      {"/keys", "/keys"},
      {"/v1/keys/", "/v1/keys/"},
      {"/usage", "/usage"},
      {"/health/", "/health/"},
      {"/", "/"},
      {"*", "*"},
  };
  for (const auto& [written, meant] : cases) {
    restinio::http_request_header_t header(restinio::http_method_post(), written);
    BOOST_TEST(!read_target(header, "x").has_value());
    BOOST_TEST(header.request_target() == meant, written);
  }
}

BOOST_AUTO_TEST_CASE(only_names_of_models_have_slashes_in_the_middle_of_a_path) {
  const auto model = [](std::string_view path) {
    return match("/admin/models/{model}/start", path).value_or("none");
  };
  BOOST_TEST(model("/admin/models/demo/start") == "demo");
  BOOST_TEST(model("/admin/models/org/demo/start") == "org/demo");
  BOOST_TEST(model("/admin/models/org%2Fdemo/start") == "org%2Fdemo");
  BOOST_TEST(model("/admin/models/a/start/start") == "a/start");
  BOOST_TEST(model("/admin/models//start") == "none");
  BOOST_TEST(model("/admin/models/start") == "none");
  BOOST_TEST(model("/admin/models/demo/stop") == "none");
  BOOST_TEST(!match("/v1/keys/{id}/rotate", "/v1/keys/a/b/rotate"));
}

BOOST_AUTO_TEST_CASE(errors_have_the_shape_of_their_path) {
  const std::pair<std::string_view, dialect> cases[] = {
      {"/v1/chat/completions", dialect::openai},
      {"/chat/completions/", dialect::openai},
      {"/v1/responses", dialect::responses},
      {"/messages", dialect::anthropic},
      {"/v1/messages/count_tokens", dialect::anthropic},
      {"/api/generate", dialect::ollama},
      {"/api/tags/", dialect::ollama},
      {"/rerank", dialect::other},
      {"/tokenize", dialect::other},
      {"/v1/keys", dialect::openai},
      {"/v1/nothing", dialect::openai},
      {"/v1", dialect::openai},
      {"/v1x", dialect::none},
      {"/health", dialect::none},
      {"/api/nothing", dialect::none},
      {"/nothing", dialect::none},
      {"", dialect::none},
  };
  for (const auto& [path, expected] : cases) BOOST_TEST((dialect_of(path) == expected), path);
}

BOOST_AUTO_TEST_CASE(every_dialect_has_its_error) {
  const auto error = [](error_code code, dialect spoken) {
    return json::parse(error_body(code, "no \xff", "model", spoken));
  };
  const auto told = "no \xef\xbf\xbd";
  for (const auto spoken : {dialect::openai, dialect::responses, dialect::other}) {
    BOOST_TEST(error(error_code::model_not_found, spoken) ==
               (json{{"error",
                      {{"code", "model_not_found"},
                       {"param", "model"},
                       {"type", "invalid_request_error"},
                       {"message", told}}}}));
  }
  BOOST_TEST(error(error_code::queue_full, dialect::none) == (json{{"detail", told}}));
  BOOST_TEST(error(error_code::queue_full, dialect::ollama) == (json{{"error", told}}));
  const std::pair<error_code, std::string> types[] = {
      {error_code::invalid_json, "invalid_request_error"},
      {error_code::missing_credential, "authentication_error"},
      {error_code::missing_scope, "permission_error"},
      {error_code::model_not_found, "not_found_error"},
      {error_code::body_too_large, "request_too_large"},
      {error_code::unsupported_media_type, "invalid_request_error"},
      {error_code::rate_limited, "rate_limit_error"},
      {error_code::internal, "api_error"},
      {error_code::upstream_failed, "api_error"},
      {error_code::queue_full, "overloaded_error"},
      {error_code::upstream_timeout, "timeout_error"},
  };
  for (const auto& [code, type] : types) {
    BOOST_TEST(error(code, dialect::anthropic) ==
               (json{{"type", "error"}, {"error", {{"type", type}, {"message", told}}}}));
  }
}

BOOST_AUTO_TEST_CASE(a_status_has_the_phrase_that_its_standard_gives_it) {
  const std::pair<int, std::string_view> phrases[] = {
      {200, "OK"},
      {203, "Non-Authoritative Information"},
      {206, "Partial Content"},
      {207, "Multi-Status"},
      {226, "IM Used"},
      {300, "Multiple Choices"},
      {301, "Moved Permanently"},
      {302, "Found"},
      {303, "See Other"},
      {304, "Not Modified"},
      {307, "Temporary Redirect"},
      {308, "Permanent Redirect"},
      {402, "Payment Required"},
      {406, "Not Acceptable"},
      {412, "Precondition Failed"},
      {413, "Content Too Large"},
      {416, "Range Not Satisfiable"},
      {422, "Unprocessable Content"},
      {425, "Too Early"},
      {428, "Precondition Required"},
      {451, "Unavailable For Legal Reasons"},
      {501, "Not Implemented"},
      {507, "Insufficient Storage"},
      {511, "Network Authentication Required"},
  };
  for (const auto& [status, phrase] : phrases) BOOST_TEST(reason_phrase(status) == phrase);
  for (const int status : {-1, 0, 99, 299, 499, 512, 599, 1000}) {
    BOOST_TEST(reason_phrase(status) == "Unknown");
  }
  for (int code = 0; code <= static_cast<int>(error_code::unsupported_version); ++code) {
    const auto& error = words(static_cast<error_code>(code));
    BOOST_TEST(error.reason == reason_phrase(error.status));
  }
}

BOOST_AUTO_TEST_SUITE_END()
