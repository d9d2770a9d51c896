// Header fields that we read, forward and refuse.
#include "http/serve/request_headers.hpp"

#include <boost/test/unit_test.hpp>

using namespace signalbox::http;

namespace {

using fields = std::vector<std::pair<std::string, std::string>>;

restinio::http_request_header_t header_with(const fields& list) {
  restinio::http_request_header_t header(restinio::http_method_post(), "/v1/chat/completions");
  for (const auto& [name, value] : list) {
    header.add_field(restinio::http_header_field_t(name, value));
  }
  return header;
}

std::optional<header_problem> read(const fields& list, request_headers& out) {
  static restinio::http_request_header_t kept;  // `out` has views into it
  kept = header_with(list);
  return read_headers(kept, {1000, 10}, true, out);
}

std::string refusal_of(const fields& list) {
  request_headers out;
  const auto problem = read(list, out);
  return problem ? problem->message : "";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(request_header_fields)

BOOST_AUTO_TEST_CASE(credentials_framing_and_nominated_fields_stay_here) {
  request_headers out;
  const auto problem = read({{"Host", "x"},
                             {"authorization", "Bearer t"},
                             {"X-API-Key", "k"},
                             {"Connection", "keep-alive, X-Hop"},
                             {"X-Hop", "1"},
                             {"TE", "trailers"},
                             {"Accept", "*/*"},
                             {"Content-Length", "3"},
                             {"Cookie", "c"},
                             {"X-Mine", "v"}},
                            out);
  BOOST_TEST(!problem.has_value());
  BOOST_TEST(out.forwarded == "Accept: */*\r\nX-Mine: v\r\n");
  BOOST_TEST(out.authorization == "Bearer t");
  BOOST_TEST(out.api_key == "k");
}

BOOST_AUTO_TEST_CASE(a_coding_is_read_and_stays_here) {
  request_headers out;
  BOOST_TEST(!read({{"Host", "x"}, {"Content-Encoding", "gzip"}}, out).has_value());
  BOOST_TEST(out.content_encoding == "gzip");
  BOOST_TEST(out.forwarded.empty());
}

BOOST_AUTO_TEST_CASE(a_client_id_is_read_and_stays_here) {
  request_headers out;
  BOOST_TEST(!read({{"Host", "x"}, {"X-Client-ID", "my_app"}}, out).has_value());
  BOOST_TEST(out.client_id == "my_app");
  BOOST_TEST(out.forwarded.empty());
  for (const auto* sane : {"a", "team:chat/app@2.0+x_-"}) BOOST_TEST(is_sane_client_id(sane));
  for (const auto* wild : {"", "a b", "a,b", "=a", "\"a\"", "\xc3\xa4", "a;b"}) {
    BOOST_TEST(!is_sane_client_id(wild));
  }
  BOOST_TEST(is_sane_client_id(std::string(128, 'a')));
  BOOST_TEST(!is_sane_client_id(std::string(129, 'a')));
}

BOOST_AUTO_TEST_CASE(what_proxies_tell_of_a_client_stays_here) {
  request_headers out;
  const auto problem = read({{"Host", "x"},
                             {"X-Forwarded-For", "1.1.1.1, 2.2.2.2"},
                             {"x-forwarded-proto", "https"},
                             {"X-Forwarded-Host", "a"},
                             {"X-FORWARDED-Client-Cert", "c"},
                             {"Forwarded", "for=1.1.1.1"},
                             {"X-Real-IP", "1.1.1.1"},
                             {"x-forwarded-for", "3.3.3.3"},
                             {"X-Forward", "v"}},
                            out);
  BOOST_TEST(!problem.has_value());
  BOOST_TEST(out.forwarded == "X-Forward: v\r\n");
  const std::vector<std::string_view> all{"1.1.1.1, 2.2.2.2", "3.3.3.3"};
  BOOST_TEST(out.forwarded_for == all, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(every_connection_field_nominates) {
  request_headers out;
  const auto problem = read({{"Host", "x"},
                             {"Connection", "x-one"},
                             {"Connection", "X-Two , close"},
                             {"Connection", "close"},
                             {"X-One", "1"},
                             {"x-two", "2"},
                             {"X-Three", "3"}},
                            out);
  BOOST_TEST(!problem.has_value());
  BOOST_TEST(out.forwarded == "X-Three: 3\r\n");
}

BOOST_AUTO_TEST_CASE(what_two_readers_could_read_differently_is_refused) {
  const std::pair<std::string, std::string> host{"Host", "x"};
  BOOST_TEST(refusal_of({}) == "A request must have exactly one Host header.");
  BOOST_TEST(refusal_of({host, host}) == "A request must have exactly one Host header.");
  BOOST_TEST(refusal_of({host, {"Transfer-Encoding", "gzip, chunked"}}) ==
             "The only supported transfer encoding is 'chunked'.");
  BOOST_TEST(refusal_of({host, {"Transfer-Encoding", "Chunked"}}).empty());
  BOOST_TEST(refusal_of({host, {"Authorization", "a"}, {"authorization", "b"}}) ==
             "The header authorization must be sent only once.");
  BOOST_TEST(refusal_of({host, {"Content-Encoding", "gzip"}, {"content-encoding", "gzip"}}) ==
             "The header content-encoding must be sent only once.");
  BOOST_TEST(refusal_of({host, {"X-A", "b\r\n c"}}) ==
             "A header contains a character that is not allowed.");
  for (const auto* name : {"Transfer-Encoding ", "Authorization\t", "Content-Length ", "", "X A"}) {
    BOOST_TEST(!refusal_of({host, {name, "b"}}).empty(), name);
  }
  BOOST_TEST(refusal_of({host, {"X-A", "tab\tis fine"}}).empty());
}

BOOST_AUTO_TEST_CASE(control_characters_are_found_wherever_they_are) {
  for (std::size_t at = 0; at < 20; ++at) {
    for (int c = 1; c < 256; ++c) {
      std::string value(20, 'a');
      value[at] = static_cast<char>(c);
      const bool is_fine = (c >= 0x20 && c != 0x7f) || c == '\t';
      BOOST_TEST(refusal_of({{"Host", "x"}, {"X-A", value}}).empty() == is_fine, c << " at " << at);
    }
  }
}

BOOST_AUTO_TEST_CASE(too_many_or_too_large_is_refused) {
  fields many(11, {"X-A", "b"});
  BOOST_TEST(!refusal_of(many).empty());
  BOOST_TEST(!refusal_of({{"Host", "x"}, {"X-A", std::string(1001, 'a')}}).empty());
}

BOOST_AUTO_TEST_CASE(request_ids_are_taken_over_when_sane) {
  BOOST_TEST(is_sane_request_id("req-1.2_3"));
  BOOST_TEST(is_sane_request_id(std::string(128, 'a')));
  for (const auto& id : {std::string(), std::string(129, 'a'), std::string("a b"),
                         std::string("a\r\nb"), std::string("\xc3\xa9")}) {
    BOOST_TEST(!is_sane_request_id(id));
  }
}

BOOST_AUTO_TEST_CASE(fields_of_an_answer_that_are_not_for_the_client_stay_here) {
  for (const auto* name : {"Connection", "transfer-encoding", "Content-Length", "Server", "Date",
                           "Keep-Alive", "x-request-id"}) {
    BOOST_TEST(!is_forwarded_to_client(name), name);
  }
  for (const auto* name :
       {"Access-Control-Allow-Origin", "access-control-max-age", "x-selected-model",
        "X-Queue-Wait-MS", "X-RateLimit-Limit-Requests", "x-ratelimit-reset",
        "Strict-Transport-Security", "Clear-Site-Data", "SET-COOKIE", "Alt-Svc"}) {
    BOOST_TEST(!is_forwarded_to_client(name), name);
  }
  BOOST_TEST(is_forwarded_to_client("Access-Controls"));
  BOOST_TEST(is_forwarded_to_client("X-RateLimits"));
  BOOST_TEST(is_forwarded_to_client("X-Selected-Models"));
  BOOST_TEST(is_forwarded_to_client("Content-Type"));
  BOOST_TEST(is_forwarded_to_client("Content-Encoding"));
  BOOST_TEST(is_forwarded_to_client("X-Anything"));
}

BOOST_AUTO_TEST_CASE(another_protocol_is_asked_for_by_both_fields) {
  request_headers out;
  const fields both{{"Host", "x"}, {"Upgrade", "websocket"}, {"Connection", "keep-alive, upgrade"}};
  BOOST_TEST(!read(both, out).has_value());
  BOOST_TEST(out.wants_upgrade);
  BOOST_TEST(out.upgrade == "websocket");
  BOOST_TEST(out.forwarded.empty());
  request_headers alone;
  BOOST_TEST(!read({{"Host", "x"}, {"Upgrade", "websocket"}}, alone).has_value());
  BOOST_TEST(!alone.wants_upgrade);
  BOOST_TEST(!is_forwarded_to_client("Upgrade"));
}

BOOST_AUTO_TEST_CASE(a_body_that_goes_on_as_it_came_keeps_its_coding) {
  const auto header = header_with({{"Host", "x"},
                                   {"Content-Encoding", "br"},
                                   {"Authorization", "Bearer t"},
                                   {"Connection", "X-Hop"},
                                   {"X-Hop", "1"},
                                   {"Accept", "*/*"}});
  BOOST_TEST(fields_with_coding(header) == "Content-Encoding: br\r\nAccept: */*\r\n");
}

BOOST_AUTO_TEST_SUITE_END()
