// The proxy reads what it needs of a body, refuses bad ones, and edits nothing else.
#include "http/proxy/request_body.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "text/json_text.hpp"

using namespace signalbox;
using namespace signalbox::http;

namespace {

request_facts facts_of(const std::string& body) {
  auto result = read_request_body(body, dialect::openai, false, body.capacity() - body.size());
  if (auto* problem = std::get_if<body_problem>(&result)) BOOST_FAIL(problem->message);
  return std::get<request_facts>(result);
}

std::string problem_of(const std::string& body) {
  auto result = read_request_body(body, dialect::openai, false, body.capacity() - body.size());
  return std::holds_alternative<body_problem>(result) ? std::get<body_problem>(result).message : "";
}

// Of a body that is refused.
error_code code_of(const std::string& body) {
  return std::get<body_problem>(read_request_body(body)).code;
}

std::string edited(const std::string& body, std::vector<body_edit> edits) {
  std::string out;
  for (auto piece : apply_edits(body, edits)) out += piece;
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(request_body)

BOOST_AUTO_TEST_CASE(a_name_with_escapes_is_the_name_that_it_means) {
  BOOST_TEST(facts_of(R"({"mo\u0064el":"demo"})").model == "demo");
  BOOST_TEST(facts_of(R"({"a\"model":1,"model":"demo","model\\":2,"\"":3})").model == "demo");
  BOOST_TEST(problem_of(R"({"model":"demo","\u006dodel":"other"})") ==
             "The field 'model' is in the body twice.");
  for (const auto* const name : {"\\q", "\\u00", "a\\", "\\ud83d\\q"}) {
    BOOST_TEST(!problem_of(std::string(R"({"model":"demo",")") + name + R"(":1})").empty(), name);
    BOOST_TEST(!problem_of(std::string(R"({"model":"demo","x":{")") + name + R"(":1}})").empty(),
               name);
  }
}

BOOST_AUTO_TEST_CASE(several_answers_are_asked_for_by_number_or_by_prompts) {
  BOOST_TEST(facts_of(R"({"model":"m","n":2})").asks_several);
  BOOST_TEST(facts_of(R"({"prompt":["a","b"],"model":"m"})").asks_several);
  for (const auto* const one :
       {R"({"model":"m"})", R"({"model":"m","n":1})", R"({"model":"m","n":"x","prompt":"a"})",
        R"({"model":"m","prompt":{"n":2}})"}) {
    BOOST_TEST(!facts_of(one).asks_several);
  }
}

BOOST_AUTO_TEST_CASE(reads_model_and_stream_wherever_they_stand) {
  const auto facts = facts_of(R"({"messages":[{"model":"inner","stream":true}],"model":"demo"})");
  BOOST_TEST(facts.model == "demo");
  BOOST_TEST(!facts.stream);
  BOOST_TEST(facts.usage_edit.empty());
}

BOOST_AUTO_TEST_CASE(an_escaped_key_is_the_same_key) {
  BOOST_TEST(facts_of(R"({"mod\u0065l":"demo"})").model == "demo");
}

BOOST_AUTO_TEST_CASE(a_key_that_comes_twice_is_refused) {
  for (const auto* body : {R"({"model":"a","model":"b"})", R"({"model":"a","mod\u0065l":"b"})",
                           R"({"model":"a","stream":true,"stream":false})",
                           R"({"model":"a","stream_options":{},"stream_options":{}})"}) {
    BOOST_TEST(problem_of(body).find("twice") != std::string::npos, body);
  }
}

BOOST_AUTO_TEST_CASE(wrong_types_are_refused_with_the_field_named) {
  BOOST_TEST(problem_of(R"({"model":1})") == "The field 'model' must be a string.");
  BOOST_TEST(problem_of(R"({"messages":[]})") == "The field 'model' is missing.");
  BOOST_TEST(problem_of(R"({"model":""})") == "The field 'model' must have 1 to 200 bytes.");
  BOOST_TEST(problem_of(R"({"model":")" + std::string(201, 'x') + "\"}") ==
             "The field 'model' must have 1 to 200 bytes.");
  BOOST_TEST(problem_of(R"({"model":"a","stream":"yes"})") ==
             "The field 'stream' must be true or false.");
  BOOST_TEST(problem_of(R"({"model":"a","stream_options":7})") ==
             "stream_options must be an object.");
}

BOOST_AUTO_TEST_CASE(what_is_no_json_object_is_refused) {
  for (const auto* body :
       {"", " ", "null", "[]", "\"x\"", "{", R"({"model":"a")", R"({"model":"a"}x)",
        R"({"model":"a"} {})", R"({"model" "a"})", "{\"model\":\"\xff\"}"}) {
    BOOST_TEST(!problem_of(body).empty(), body);
  }
}

BOOST_AUTO_TEST_CASE(only_what_is_no_json_is_told_to_be_none) {
  for (const auto* body : {"",
                           " ",
                           "{",
                           "[",
                           "[1",
                           "[1,]",
                           "[{]",
                           "[1]]",
                           "[1] 2",
                           "tru",
                           "nul",
                           "1 2",
                           "\"a\" 1",
                           R"(["\x"])",
                           R"({"model":"a")",
                           R"({"model":"a"}x)",
                           R"({"model":"\x"})",
                           R"({"model":tru})",
                           R"({"model":[1})",
                           R"({"model":"a","stream":nul})",
                           R"({"model":"a","stream":[1}})",
                           R"({"model":"a","b":[1}})"}) {
    BOOST_TEST((code_of(body) == error_code::invalid_json), body);
  }
  for (const auto* body :
       {"null", "true", "[]", "[[1],{}]", "\"x\"", " 1.5 ", R"({"model":7})", R"({"model":""})",
        R"({"model":"\ud83d"})", R"({"model":[1]})", R"({"model":"a","model":"b"})",
        R"({"model":"a","stream":"yes"})", R"({"model":"a","stream_options":7})"}) {
    BOOST_TEST((code_of(body) == error_code::invalid_value), body);
  }
  for (const auto* body : {"{}", R"({"messages":[{"model":"a"}]})"}) {
    BOOST_TEST((code_of(body) == error_code::missing_parameter), body);
  }
}

BOOST_AUTO_TEST_CASE(what_nobody_reads_is_json_too) {
  const auto with = [](const std::string& value) {
    return R"({"a":)" + value + R"(,"model":"m"})";
  };
  const auto refuses = [&](std::initializer_list<const char*> all) {
    for (const auto* bad : all) {
      BOOST_TEST(problem_of(with(bad)) != "", bad);
      BOOST_TEST(problem_of(with("[0," + std::string(bad) + "]")) != "", bad);
      BOOST_TEST(problem_of(with(R"({"x":)" + std::string(bad) + "}")) != "", bad);
    }
  };
  refuses({"", "[1}", "{1]", "[1,]", "[,1]", "[1 2]", "[1", "[1]]", "]", "[\"b\":1]", "[[1],2,{]",
           "1 2", "\"b\" \"c\"", "\"b\":1", "/**/1"});
  refuses({"{\"b\"}", "{\"b\":}", "{\"b\":1,}", "{b:1}", "{1:1}", "{\"b\" 1}", "{\"b\":1 \"c\":2}",
           "{\"b\":1,,\"c\":2}", "{\"\\x\":1}"});
  refuses({"tru", "truee", "nul", "nulll", "None", "NaN", "Infinity", "-", "01", "-01", "+1", "1.",
           ".5", "1e", "1e+", "1.e5", "0x1"});
  refuses({"1e400x", "01e400", "1e400-1", "1.e400", "1e400.", "1e400\v", "1\f", "true\v"});
  refuses(
      {"\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\ud83g\"", "\"\\ud83d\\x\"", "\"a\nb\"", "'a'"});
  for (const auto* good :
       {"[]", "{}", "[[],{}]", " [ 1 , { \"b\" : [ ] } ] ", "-0", "1E+2", "0.5e-3", "1e400",
        "-1e400", "1e400 \t\r\n", "18446744073709551616", "123456789012345678901234567890",
        "\"\\ud83d\"", "\"\\ude00 \\ud83d \\\\ud83d\"", "\"\\uD83D\\uDE00\"",
        "\"\\/\\b\\f\\n\\r\\t\\\"\"", "{\"model\":1,\"stream\":\"x\",\"model\":2}"}) {
    BOOST_TEST(problem_of(with(good)) == "", good);
    BOOST_TEST(problem_of(with("[0," + std::string(good) + "]")) == "", good);
  }
  for (const auto* word : {"nul", "n", "nulll", "nulx", "tru", "fals", "[true]"}) {
    BOOST_TEST(problem_of(R"({"model":"m","stream":)" + std::string(word) + "}") != "", word);
  }
}

BOOST_AUTO_TEST_CASE(a_body_nests_only_so_deep) {
  const auto deep = [](const std::string& key, const std::string& open, const std::string& close,
                       int levels) {
    std::string body = R"({"model":"m",")" + key + "\":";
    for (int i = 0; i < levels; ++i) body += open;
    body += "0";
    for (int i = 0; i < levels; ++i) body += close;
    return body + "}";
  };
  const std::string refusal = "The request body nests more than 512 deep.";
  for (const auto* key : {"a", "stream_options"}) {
    BOOST_TEST(problem_of(deep(key, "[", "]", 512)) == refusal);
    BOOST_TEST(problem_of(deep(key, "{\"b\":", "}", 512)) == refusal);
    BOOST_TEST(problem_of(deep(key, "[", "", 1'000'000)) == refusal);
  }
  BOOST_TEST(problem_of(deep("a", "[", "]", 511)) == "");
  BOOST_TEST(problem_of(deep("stream_options", "{\"b\":", "}", 511)) == "");
}

// They would cost a shard much more time than others.
BOOST_AUTO_TEST_CASE(a_body_has_few_values_that_take_long_to_check) {
  for (const auto* value : {"1e400", "\"\\ud83d\""}) {
    const auto with = [&](int count) {
      std::string body = R"({"model":"m","a":[0)";
      for (int i = 0; i < count; ++i) body += "," + std::string(value);
      return body + "]}";
    };
    BOOST_TEST(problem_of(with(50)) == "", value);
    BOOST_TEST(problem_of(with(200)) != "", value);
  }
  BOOST_TEST(problem_of(R"({"model":"m","a":1)" + std::string(2000, '0') + "}") != "");
}

BOOST_AUTO_TEST_CASE(a_stream_is_made_to_send_usage_and_nothing_else_changes) {
  const std::string body =
      " {\"model\" : \"demo\",\"stream\":true,  \"x\":1e400,\"y\":\"\\u00e9\" } ";
  const auto out = edited(body, facts_of(body).usage_edit);
  BOOST_TEST(out == " {\"stream_options\":{\"include_usage\":true}," + body.substr(2));
}

BOOST_AUTO_TEST_CASE(stream_options_keep_their_other_fields) {
  const std::string body =
      R"({"model":"m","stream_options": {"include_usage":false, "a":[1]} ,"stream":true})";
  const auto facts = facts_of(body);
  BOOST_TEST(!facts.usage_wanted);
  const auto options = nlohmann::json::parse(edited(body, facts.usage_edit))["stream_options"];
  BOOST_TEST(options == (nlohmann::json{{"include_usage", true}, {"a", {1}}}));
}

BOOST_AUTO_TEST_CASE(stream_options_are_bounded_and_checked) {
  const auto with = [](const std::string& options) {
    return R"({"model":"a","stream":true,"stream_options":)" + options + "}";
  };
  BOOST_TEST(problem_of(with(R"({"x":")" + std::string(4096, 'x') + "\"}")) ==
             "stream_options must have at most 4096 bytes.");
  BOOST_TEST(problem_of(with("[]")) == "stream_options must be an object.");
  BOOST_TEST(problem_of(with(R"({"include_usage":1})")) ==
             "stream_options.include_usage must be true or false.");
  BOOST_TEST(facts_of(with("null")).usage_edit.size() == 1u);
  BOOST_TEST(facts_of(with(R"({"include_usage":null})")).usage_edit.size() == 1u);
}

BOOST_AUTO_TEST_CASE(json_is_put_on_one_line_or_is_none) {
  BOOST_TEST(json_on_one_line("{\n  \"a\": [1, \"x\\ny\"]\n}\n") == R"({"a":[1,"x\ny"]})");
  for (const auto* text : {"", "<html>", "1", "{\"a\":", "{} {}"}) {
    BOOST_TEST(json_on_one_line(text) == "", text);
  }
}

BOOST_AUTO_TEST_CASE(a_client_that_asks_for_usage_is_left_alone) {
  const auto facts =
      facts_of(R"({"model":"m","stream":true,"stream_options":{"include_usage":true}})");
  BOOST_TEST(facts.usage_wanted);
  BOOST_TEST(facts.usage_edit.empty());
}

BOOST_AUTO_TEST_CASE(without_a_stream_the_options_are_not_touched) {
  BOOST_TEST(facts_of(R"({"model":"m","stream_options":null})").usage_edit.empty());
}

BOOST_AUTO_TEST_CASE(only_openai_is_asked_for_usage) {
  const std::string body = R"({"model":"m","stream":true,"stream_options":7,"stream_options":8})";
  for (const auto spoken :
       {dialect::responses, dialect::anthropic, dialect::ollama, dialect::other}) {
    const auto facts = std::get<request_facts>(read_request_body(body, spoken));
    BOOST_TEST(facts.stream);
    BOOST_TEST(!facts.usage_wanted);
    BOOST_TEST(facts.usage_edit.empty());
  }
}

BOOST_AUTO_TEST_CASE(a_body_that_does_not_say_streams_as_its_route_does) {
  const std::tuple<const char*, bool, bool> cases[] = {
      {R"({"model":"m"})", true, true},
      {R"({"model":"m","stream":null})", true, true},
      {R"({"model":"m","stream":false})", true, false},
      {R"({"model":"m","stream":true})", false, true},
      {R"({"model":"m"})", false, false}};
  for (const auto& [body, by_default, expected] : cases) {
    const auto facts = read_request_body(body, dialect::ollama, by_default);
    BOOST_TEST(std::get<request_facts>(facts).stream == expected, body);
  }
}

BOOST_AUTO_TEST_CASE(the_model_is_renamed_in_place) {
  const std::string body = R"({"a":"demo", "model" : "de\u006do" , "b":2})";
  const auto facts = facts_of(body);
  BOOST_TEST(facts.model == "demo");
  const auto out = edited(body, {{facts.model_offset, facts.model_length, json_quoted("x\"y")}});
  BOOST_TEST(out == R"({"a":"demo", "model" : "x\"y" , "b":2})");
}

BOOST_AUTO_TEST_CASE(a_large_body_with_no_room_behind_it_is_read) {
  std::string body = R"({"model":"demo","input":")" + std::string(2'000'000, 'w') + "\"}";
  body.shrink_to_fit();
  BOOST_TEST(facts_of(body).model == "demo");
}

BOOST_AUTO_TEST_CASE(a_body_needs_no_model_where_it_is_known_from_elsewhere) {
  const std::string body = R"({"stream":true})";
  const auto read = read_request_body(body, dialect::openai, false, 0, false);
  BOOST_REQUIRE(std::holds_alternative<request_facts>(read));
  const auto& facts = std::get<request_facts>(read);
  BOOST_TEST(facts.model.empty());
  BOOST_TEST(facts.model_length == 0u);
  BOOST_TEST(facts.stream);
  BOOST_TEST(edited(body, facts.usage_edit) ==
             R"({"stream_options":{"include_usage":true},"stream":true})");
}

BOOST_AUTO_TEST_SUITE_END()
