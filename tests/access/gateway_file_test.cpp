#include "access/gateway_file.hpp"

#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <optional>

#include "tests/scratch_folder.hpp"

using namespace signalbox;

BOOST_AUTO_TEST_SUITE(gateway_files)

BOOST_AUTO_TEST_CASE(a_gateway_that_serves_has_a_file) {
  const scratch_folder folder;
  BOOST_TEST(!read_gateway_file(folder.path()));
  {
    published_gateway gateway(folder.path(), "1.2");
    gateway.certificate_changed("ab12");
    BOOST_TEST(!read_gateway_file(folder.path()));  // it does not serve yet
    gateway.publish({"http://127.0.0.1:8000"});
    const auto file = read_gateway_file(folder.path());
    BOOST_REQUIRE(file);
    BOOST_TEST(file->pid == ::getpid());
    BOOST_TEST(file->version == "1.2");
    BOOST_TEST(file->urls == std::vector<std::string>{"http://127.0.0.1:8000"},
               boost::test_tools::per_element());
    BOOST_TEST(file->key == gateway.key());
    BOOST_TEST(file->certificate_sha256 == "ab12");
    gateway.certificate_changed("cd34");
    BOOST_TEST(read_gateway_file(folder.path())->certificate_sha256 == "cd34");
  }
  BOOST_TEST(!read_gateway_file(folder.path()));
}

BOOST_AUTO_TEST_CASE(others_cannot_read_it_whatever_was_left_behind) {
  const scratch_folder folder;
  folder.write("gateway.json.part", "half", 0644);
  folder.write("gateway.json", "{}", 0644);
  published_gateway gateway(folder.path(), "1");
  gateway.publish({"http://127.0.0.1:8000"});
  const auto mode = std::filesystem::status(folder.path("gateway.json")).permissions();
  BOOST_TEST((mode == std::filesystem::perms(0600)));
}

BOOST_AUTO_TEST_CASE(a_gateway_removes_no_file_but_its_own) {
  const scratch_folder folder;
  auto older = std::make_unique<published_gateway>(folder.path(), "1");
  older->publish({"http://127.0.0.1:8000"});
  published_gateway newer(folder.path(), "2");
  newer.publish({"http://127.0.0.1:8001"});
  older.reset();
  const auto file = read_gateway_file(folder.path());
  BOOST_REQUIRE(file);
  BOOST_TEST(file->key == newer.key());
}

BOOST_AUTO_TEST_CASE(a_file_that_no_gateway_wrote_is_an_error) {
  const scratch_folder folder;
  for (const auto* wrong : {"", "{}", "[]", "{\"pid\": \"x\"}",
                            R"({"pid":1,"version":"","started_at":"","urls":[],"key":"k"})"}) {
    const auto path = folder.write("gateway.json", wrong);
    BOOST_CHECK_EXCEPTION(
        read_gateway_file(folder.path()), std::runtime_error,
        [&](const std::exception& e) { return std::string(e.what()).starts_with(path); });
  }
}

BOOST_AUTO_TEST_SUITE_END()
