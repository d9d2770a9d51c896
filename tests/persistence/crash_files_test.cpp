#include "persistence/crash_files.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <vector>

#include "tests/scratch_folder.hpp"

namespace signalbox::persistence::test {

BOOST_AUTO_TEST_SUITE(crash_files_tests)
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

const wall_time t0{std::chrono::seconds(1768494600)};  // 2026-01-15 16:30:00 UTC

crash_record crash_of(const std::string& model, const std::string& reason, wall_time at = t0) {
  return {at, model, reason, "exit status 1", {"one", "two"}};
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

std::string text_of(const std::string& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_name_is_that_of_seed_002) {
  BOOST_TEST(crash_file_name(crash_of("demo", "crashed")) ==
             "20260115-163000_demo_runtime_crashed.log");
  BOOST_TEST(crash_file_name(crash_of("org/demo", "oom")) ==
             "20260115-163000_org_demo_runtime_oom.log");
  BOOST_TEST(crash_file_name(crash_of("../../x", "segfault")) ==
             "20260115-163000_.._.._x_runtime_segfault.log");
  BOOST_TEST(crash_file_name(crash_of("demo", "model_incompatible")) ==
             "20260115-163000_demo_model_incompatible.log");
}

BOOST_AUTO_TEST_CASE(a_file_has_the_reason_and_the_last_lines) {
  const scratch_folder scratch;
  const auto folder = scratch.path("failures");
  crash_files files(folder);
  files.add(crash_of("demo", "oom"));
  const auto text = text_of(folder + "/20260115-163000_demo_runtime_oom.log");
  BOOST_TEST(text ==
             "time: 2026-01-15T16:30:00.000000Z\nmodel: demo\nreason: oom\n"
             "detail: exit status 1\n\none\ntwo\n");
  BOOST_TEST(names_in(folder).size() == 1u);  // and no part of one
}

BOOST_AUTO_TEST_CASE(of_too_many_lines_the_last_stay) {
  const scratch_folder scratch;
  const auto folder = scratch.path("failures");
  crash_files files(folder, {.bytes = 1000});
  auto crash = crash_of("demo", "oom");
  crash.log_tail = {std::string(2000, 'x'), std::string(500, 'y'), "end"};
  files.add(crash);
  const auto text = text_of(folder + "/" + names_in(folder).front());
  BOOST_TEST(text.size() <= 1000u);
  BOOST_TEST(text.ends_with("\n\n" + std::string(500, 'y') + "\nend\n"));
}

BOOST_AUTO_TEST_CASE(two_in_one_second_are_two_files) {
  const scratch_folder scratch;
  const auto folder = scratch.path("failures");
  crash_files files(folder);
  for (int i = 0; i < 3; ++i) files.add(crash_of("demo", "oom"));
  const std::vector<std::string> expected{"20260115-163000_demo_runtime_oom-2.log",
                                          "20260115-163000_demo_runtime_oom-3.log",
                                          "20260115-163000_demo_runtime_oom.log"};
  BOOST_TEST(names_in(folder) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(their_number_and_age_are_bounded) {
  const scratch_folder scratch;
  const auto folder = scratch.path("failures");
  crash_files files(folder, {.files = 3, .age = 24h});
  files.add(crash_of("old", "oom", t0 - 25h));
  scratch.write("failures/20200101-000000_notes.txt", "mine");
  scratch.write("failures/notes.log", "mine");
  for (int i = 0; i < 2; ++i) files.add(crash_of("demo", "oom", t0 + i * 1s));
  BOOST_TEST(names_in(folder).size() == 4u);  // the old one is over its age
  for (int i = 2; i < 10; ++i) files.add(crash_of("demo", "oom", t0 + i * 1s));
  const std::vector<std::string> expected{
      "20200101-000000_notes.txt", "20260115-163007_demo_runtime_oom.log",
      "20260115-163008_demo_runtime_oom.log", "20260115-163009_demo_runtime_oom.log", "notes.log"};
  BOOST_TEST(names_in(folder) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(no_link_is_followed) {
  const scratch_folder scratch;
  const auto folder = scratch.path("failures");
  const auto victim = scratch.write("victim", "untouched");
  fs::create_directory(folder);
  fs::create_symlink(victim, folder + "/.part");
  fs::create_symlink(victim, folder + "/20260115-163000_demo_runtime_oom.log");
  crash_files files(folder);
  files.add(crash_of("demo", "oom"));
  BOOST_TEST(text_of(victim) == "untouched");
  BOOST_TEST(
      fs::is_regular_file(fs::symlink_status(folder + "/20260115-163000_demo_runtime_oom-2.log")));

  const auto elsewhere = scratch.path("elsewhere");
  fs::create_directory(elsewhere);
  fs::create_symlink(elsewhere, scratch.path("link"));
  crash_files linked(scratch.path("link"));
  BOOST_CHECK_THROW(linked.add(crash_of("demo", "oom")), std::system_error);
  BOOST_TEST(names_in(elsewhere).empty());
}

BOOST_AUTO_TEST_CASE(without_its_parent_it_says_so) {
  const scratch_folder scratch;
  crash_files files(scratch.path("none/failures"));
  BOOST_CHECK_THROW(files.add(crash_of("demo", "oom")), std::system_error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::persistence::test
