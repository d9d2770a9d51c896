// The router and the contract agree, both ways; errors have the shape that the contract says.
#include "http/serve/routes.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>

#include "http/admin/openapi.hpp"
#include "http/serve/error.hpp"

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

BOOST_AUTO_TEST_CASE(errors_have_the_envelope_of_their_path) {
  const auto openai =
      json::parse(error_body(error_code::model_not_found, "no \xff", "model", true));
  BOOST_TEST(openai["error"]["code"] == "model_not_found");
  BOOST_TEST(openai["error"]["param"] == "model");
  BOOST_TEST(openai["error"]["type"] == "invalid_request_error");
  const auto plain = json::parse(error_body(error_code::queue_full, "full", "", false));
  BOOST_TEST(plain == (json{{"detail", "full"}}));
}

BOOST_AUTO_TEST_SUITE_END()
