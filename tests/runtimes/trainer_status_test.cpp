#include "runtimes/training/trainer_status.hpp"

#include <boost/test/unit_test.hpp>

using namespace signalbox;
using namespace signalbox::runtimes;
using scheduling::training_word;

BOOST_AUTO_TEST_SUITE(trainer_status_text)

namespace {

training_word word_in(const std::string& text) {
  return parse_status(text).word;
}

std::string nested(int depth) {
  return std::string(R"({"a":)") + std::string(static_cast<std::size_t>(depth) - 1, '[') +
         std::string(static_cast<std::size_t>(depth) - 1, ']') + "}";
}

}  // namespace

BOOST_AUTO_TEST_CASE(one_of_seed_000) {
  const auto status =
      parse_status(R"({"state": "training", "time": 1769672107.3441024, "global_step": 110})"
                   "\n");
  BOOST_CHECK(status.word == training_word::training);
  BOOST_CHECK(status.time == 1769672107.3441024);
  BOOST_TEST(status.json == R"({"state":"training","time":1769672107.3441024,"global_step":110})");
  BOOST_TEST(status.error == "");
}

BOOST_AUTO_TEST_CASE(its_words) {
  BOOST_CHECK(word_in(R"({"state":"finished"})") == training_word::finished);
  BOOST_CHECK(word_in(R"({"state":"saved"})") == training_word::saved);
  BOOST_CHECK(word_in(R"({"state":"evaluating"})") == training_word::other);
  BOOST_CHECK(word_in(R"({"state":"Finished"})") == training_word::other);
}

BOOST_AUTO_TEST_CASE(missing_members_and_odd_types_are_as_good_as_none) {
  for (const auto* text :
       {"{}", R"({"state":1})", R"({"state":null,"time":"5"})", R"({"state":["training"]})",
        R"({"state":{"training":1},"time":[1]})", R"({"state":true,"time":false})"}) {
    const auto status = parse_status(text);
    BOOST_TEST_CONTEXT(text) {
      BOOST_CHECK(status.word == training_word::other);
      BOOST_CHECK(!status.time);
      BOOST_TEST(status.error == "");
    }
  }
  BOOST_CHECK(parse_status(R"({"time":-3})").time == -3.);
  BOOST_CHECK(parse_status(R"({"time":18446744073709551615})").time == 18446744073709551615.);
}

BOOST_AUTO_TEST_CASE(what_was_written_by_half_is_no_status) {
  const std::string whole = R"({"state": "finished", "time": 17})";
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto status = parse_status(whole.substr(0, n));
    BOOST_TEST_CONTEXT(n << " bytes") {
      BOOST_CHECK(status.word == training_word::unreadable);
      BOOST_TEST(status.error == "is not valid JSON, or not all of it");
      BOOST_TEST(status.json == "");
    }
  }
  BOOST_CHECK(word_in(whole) == training_word::finished);
}

BOOST_AUTO_TEST_CASE(nonsense_is_no_status) {
  for (const std::string text :
       {"[]", "null", "1", "\"finished\"", "{\"state\":\"finished\"}x", "{'state':'finished'}",
        R"({"time":NaN})", R"({"time":1e999})", "{\"state\":\"fin\xff\"}"}) {
    BOOST_TEST_CONTEXT(text) {
      BOOST_CHECK(word_in(text) == training_word::unreadable);
      BOOST_TEST(parse_status(text).error != "");
    }
  }
  BOOST_CHECK(word_in(std::string("\0", 1)) == training_word::unreadable);
}

BOOST_AUTO_TEST_CASE(its_size_and_depth_are_limited) {
  const std::string status = R"({"state":"finished"})";
  const auto padded = [&](std::size_t size) { return status + std::string(size - 20, ' '); };
  BOOST_CHECK(word_in(padded(max_status_bytes)) == training_word::finished);
  BOOST_TEST(parse_status(padded(max_status_bytes + 1)).error == "is larger than 65536 bytes");
  BOOST_TEST(parse_status(nested(max_status_depth)).error == "");
  BOOST_TEST(parse_status(nested(max_status_depth + 1)).error == "nests deeper than 16 levels");
  BOOST_TEST(parse_status(std::string(max_status_bytes, '[')).error ==
             "nests deeper than 16 levels");
}

BOOST_AUTO_TEST_CASE(a_heartbeat_trains) {
  const auto status = heartbeat_at(1769672107.5);
  BOOST_CHECK(status.word == training_word::training);
  BOOST_CHECK(status.time == 1769672107.5);
  BOOST_TEST(status.json == R"({"state":"training","time":1769672107.5})");
}

BOOST_AUTO_TEST_SUITE_END()
