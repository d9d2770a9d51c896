// The file with the output of a model's runtimes.
#include "runtimes/log_file.hpp"

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/scratch_folder.hpp"

using namespace signalbox;
using signalbox::runtimes::log_file;
namespace fs = std::filesystem;

BOOST_AUTO_TEST_SUITE(runtime_log_files)

namespace {

std::string text_at(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

BOOST_AUTO_TEST_CASE(each_model_has_its_own_path) {
  BOOST_TEST(runtime_log_path("/d", "demo") == "/d/logs/demo.log");
  BOOST_TEST(runtime_log_path("/d", "org/demo") == "/d/logs/org%2Fdemo.log");
  BOOST_TEST(runtime_log_path("/d", "org%2Fdemo") == "/d/logs/org%252Fdemo.log");
  BOOST_TEST(runtime_log_path("/d", "..") == "/d/logs/...log");
}

BOOST_AUTO_TEST_CASE(runs_append_to_it) {
  const scratch_folder scratch;
  const auto path = runtime_log_path(scratch.path(), "demo");
  for (const auto* line : {"one", "two"}) {
    log_file file(path);
    file.add(line);
    file.write();
    file.write();  // nothing more
  }
  BOOST_TEST(text_at(path) == "one\ntwo\n");
  const auto mode = fs::status(path).permissions();
  BOOST_TEST(((mode & fs::perms::others_all) == fs::perms::none));
}

BOOST_AUTO_TEST_CASE(one_older_file_is_kept) {
  const scratch_folder scratch;
  const auto path = runtime_log_path(scratch.path(), "demo");
  log_file file(path, 8);
  for (const auto* line : {"first", "second", "third", "last"}) {
    file.add(line);
    file.write();
  }
  BOOST_TEST(text_at(older_runtime_log(path)) == "third\nlast\n");
  BOOST_TEST(!fs::exists(path));
  file.add("next");
  file.write();
  BOOST_TEST(text_at(path) == "next\n");
}

BOOST_AUTO_TEST_CASE(a_link_in_its_place_is_left_alone) {
  const scratch_folder scratch;
  const auto victim = scratch.write("victim", "untouched");
  const auto path = runtime_log_path(scratch.path(), "demo");
  fs::create_directory(scratch.path("logs"));
  fs::create_symlink(victim, path);
  log_file file(path);
  file.add("line");
  file.write();
  BOOST_TEST(text_at(victim) == "untouched");
  fs::remove(path);  // and then it works again
  file.add("later");
  file.write();
  BOOST_TEST(text_at(path) == "later\n");
}

BOOST_AUTO_TEST_SUITE_END()
