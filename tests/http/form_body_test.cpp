// The proxy reads what it needs of a form with files, wherever it stands, and refuses the rest.
#include "http/proxy/form_body.hpp"

#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

using namespace signalbox::http;
using namespace std::string_literals;

namespace {

constexpr auto* form_type = "multipart/form-data; boundary=XYZ";

std::string form_field(const std::string& parameters, const std::string& value) {
  return "--XYZ\r\nContent-Disposition: form-data; " + parameters + "\r\n\r\n" + value + "\r\n";
}

std::string model_field(const std::string& value = "demo") {
  return form_field("name=\"model\"", value);
}

// Has what could end a part, if it stood at the beginning of a line.
const std::string audio = "\0\xff\r\n\r\n-\r\n--XY\r\nmodel"s;

std::string file_field() {
  return "--XYZ\r\ncontent-disposition: form-data; name=\"file\"; filename=\"caf\xc3\xa9 "
         "\\\"1\\\".wav\""
         "\r\nContent-Type: audio/wav\r\n\r\n" +
         audio + "\r\n";
}

std::string whole(const std::string& fields) {
  return fields + "--XYZ--\r\n";
}

std::string form_problem(const std::string& body, std::string_view type = form_type) {
  auto result = read_form_body(body, type);
  return std::holds_alternative<body_problem>(result) ? std::get<body_problem>(result).message : "";
}

request_facts form_facts(const std::string& body, std::string_view type = form_type) {
  auto result = read_form_body(body, type);
  if (auto* problem = std::get_if<body_problem>(&result)) BOOST_FAIL(problem->message);
  return std::get<request_facts>(result);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(form_body)

BOOST_AUTO_TEST_CASE(the_model_is_found_wherever_it_stands) {
  const auto prompt = form_field("name=prompt", "hello");
  for (const auto& fields :
       {model_field() + file_field() + prompt, file_field() + model_field() + prompt,
        file_field() + prompt + form_field("NAME=\"model\"", "demo"),
        file_field() + prompt + form_field("name=model", "demo")}) {
    for (const auto& body :
         {whole(fields), "preamble\r\n" + whole(fields) + "epilogue", fields + "--XYZ--"}) {
      const auto facts = form_facts(body);
      BOOST_TEST(facts.model == "demo");
      BOOST_TEST(body.substr(facts.model_offset, facts.model_length) == "demo");
      BOOST_TEST(!facts.model_is_json);
      BOOST_TEST(!facts.stream);
      BOOST_TEST(facts.usage_edit.empty());
      BOOST_TEST(facts.text_bytes == 9u);  // the audio is no text
    }
  }
}

BOOST_AUTO_TEST_CASE(the_boundary_may_be_quoted) {
  BOOST_TEST(
      form_facts(whole(model_field()), "Multipart/Form-Data; charset=utf-8; boundary=\"XYZ\"")
          .model == "demo");
}

BOOST_AUTO_TEST_CASE(a_stream_is_wanted_by_the_word_true_only) {
  for (const auto& [value, expected] : {std::pair("true", true), std::pair("True", true),
                                        std::pair("false", false), std::pair("", false)}) {
    const auto body = whole(form_field("name=\"stream\"", value) + model_field());
    BOOST_TEST(form_facts(body).stream == expected, value);
  }
}

BOOST_AUTO_TEST_CASE(wrong_fields_are_refused) {
  const std::pair<std::string, std::string> cases[] = {
      {file_field(), "The field 'model' is missing."},
      {model_field(""), "The field 'model' must have 1 to 200 bytes."},
      {model_field(std::string(201, 'x')), "The field 'model' must have 1 to 200 bytes."},
      {model_field() + model_field(), "The field 'model' is in the form twice."},
      {model_field() + form_field("name=stream", "true") + form_field("name=stream", "true"),
       "The field 'stream' is in the form twice."},
      {form_field("name=\"model\"; filename=\"demo\"", "demo"),
       "The field 'model' must be no file."},
  };
  for (const auto& [fields, message] : cases) BOOST_TEST(form_problem(whole(fields)) == message);
  BOOST_TEST(form_problem(whole(model_field(std::string(200, 'x')))).empty());
}

BOOST_AUTO_TEST_CASE(what_readers_could_read_differently_is_refused) {
  const auto part = [](const std::string& head) {
    return whole(model_field() + "--XYZ\r\n" + head + "\r\n\r\nvalue\r\n");
  };
  const auto disposition = "Content-Disposition: form-data"s;
  for (const auto& body :
       {""s, "x"s, "--XYZ--\r\n"s, whole(""), model_field(), model_field() + "--XYZ\r\n",
        whole(model_field()).substr(0, 67), whole("x" + model_field()), part("X-A: b"),
        part(disposition), part(disposition + "; name=a; name=model"),
        part(disposition + "; name=\"a"), part("Content-Disposition: attachment; name=a"),
        part(disposition + "; name=a\r\n" + disposition + "; name=b"),
        part(disposition + ";\r\n name=a"), part(disposition + " ; name=a : b"),
        part("Content-Disposition : form-data; name=a"),
        part(disposition + "; name=a\r\nX-Long: " + std::string(9000, 'x')),
        whole(model_field("a--XYZ"))}) {
    BOOST_TEST(!form_problem(body).empty(), body.substr(0, 200));
  }
  for (const auto* type :
       {"", "multipart/form-data",
        "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\"",
        "multipart/form-data; boundary=XYZ; boundary=XYZ", "multipart/form-data; boundary=ABC",
        "multipart/form-data; boundary=\"X\tZ\"", "multipart/form-data, boundary=XYZ"}) {
    BOOST_TEST(!form_problem(whole(model_field()), type).empty(), type);
  }
}

BOOST_AUTO_TEST_CASE(a_form_has_a_bounded_number_of_fields) {
  const auto with = [](int count) {
    std::string fields = model_field();
    for (int i = 1; i < count; ++i) fields += form_field("name=a", "");
    return whole(fields);
  };
  BOOST_TEST(form_problem(with(100)).empty());
  BOOST_TEST(form_problem(with(101)) == "The form has too many fields.");
}

BOOST_AUTO_TEST_CASE(a_form_needs_no_model_where_it_is_known_from_elsewhere) {
  const auto read = read_form_body(whole(file_field()), form_type, false);
  BOOST_REQUIRE(std::holds_alternative<request_facts>(read));
  BOOST_TEST(std::get<request_facts>(read).model_length == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
