#include <boost/test/unit_test.hpp>
#include <set>
#include <vector>

#include "persistence/array_literal.hpp"
#include "persistence/crypto.hpp"
#include "persistence/session.hpp"
#include "persistence/stores.hpp"
#include "tests/persistence/support.hpp"

namespace signalbox::persistence::test {

BOOST_AUTO_TEST_SUITE(text)

BOOST_AUTO_TEST_CASE(array_literal_is_read_back_as_it_was) {
  const std::vector<std::string> hostile{"",
                                         "NULL",
                                         "null",
                                         "a,b",
                                         "{",
                                         "}",
                                         "{\"a\",b}",
                                         "\"",
                                         "\\",
                                         "\\\"",
                                         "a\"b\\c",
                                         "'; DROP",
                                         "line\nbreak\ttab\r",
                                         " padded ",
                                         "größe",
                                         "日本語",
                                         "😀",
                                         "$1",
                                         "a;b",
                                         "\x01\x1f\x7f"};
  array_literal literal;
  for (const std::string& element : hostile) literal.add(element);
  const std::string text = std::move(literal).take();
  fresh_database fresh;
  std::vector<std::string> found;
  fresh.db.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    for (const auto& row : tx.exec_params("SELECT unnest($1::text[]) AS element", text)) {
      BOOST_TEST(!row["element"].is_null());
      found.push_back(row["element"].as<std::string>());
    }
  });
  BOOST_TEST(found == hostile, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(empty_array_literal) {
  BOOST_TEST(array_literal().take() == "{}");
}

BOOST_AUTO_TEST_CASE(sha256_of_the_standard_example) {
  BOOST_TEST(sha256_hex("abc") ==
             "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

BOOST_AUTO_TEST_CASE(uuids_are_of_version_4_and_differ) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string id = make_uuid();
    BOOST_REQUIRE(id.size() == 36);
    BOOST_TEST(id[14] == '4');
    BOOST_TEST(std::string("89ab").find(id[19]) != std::string::npos);
    BOOST_TEST(id[8] == '-');
    BOOST_TEST(id[23] == '-');
    BOOST_TEST(seen.insert(id).second);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::persistence::test
