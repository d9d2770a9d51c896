#include "runtimes/training/selection_file.hpp"

#include <sys/stat.h>
#include <boost/test/unit_test.hpp>
#include <stdexcept>

#include "tests/scratch_folder.hpp"

using namespace signalbox;
using namespace signalbox::runtimes;
using scheduling::training_selection;

BOOST_AUTO_TEST_SUITE(the_selection_file)

BOOST_AUTO_TEST_CASE(without_one_nothing_is_selected) {
  const scratch_folder data;
  BOOST_CHECK(selection_file(data.path()).load() == training_selection{});
}

BOOST_AUTO_TEST_CASE(what_was_saved_is_loaded) {
  const scratch_folder data;
  for (const auto& selection : {training_selection{"größe/a \"b\"", false, true},
                                training_selection{"run", true, false}, training_selection{}}) {
    selection_file(data.path()).save(selection);
    BOOST_CHECK(selection_file(data.path()).load() == selection);
  }
}

BOOST_AUTO_TEST_CASE(nobody_else_reads_it) {
  const scratch_folder data;
  const selection_file file(data.path());
  file.save({"run"});
  struct stat facts {};
  BOOST_REQUIRE(::stat(file.path().c_str(), &facts) == 0);
  BOOST_TEST((facts.st_mode & 0777) == 0600u);
}

BOOST_AUTO_TEST_CASE(a_part_that_a_crash_left_is_not_read) {
  const scratch_folder data;
  const selection_file file(data.path());
  file.save({"run"});
  data.write("training.json.part", R"({"folder": "oth)");
  BOOST_CHECK(file.load() == training_selection{"run"});
  file.save({"next"});
  BOOST_CHECK(file.load() == training_selection{"next"});
}

BOOST_AUTO_TEST_CASE(a_damaged_one_is_an_error) {
  const scratch_folder data;
  const selection_file file(data.path());
  for (const std::string text :
       {"", "{", "[]", "null", R"({"folder":"run"})", R"({"folder":1,"held":false,"paused":false})",
        R"({"folder":"run","held":0,"paused":false})",
        R"({"folder":"../run","held":false,"paused":false})"}) {
    data.write("training.json", text);
    BOOST_TEST_CONTEXT(text) {
      BOOST_CHECK_THROW(file.load(), std::runtime_error);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_folder_that_takes_no_file_is_an_error) {
  const scratch_folder data;
  BOOST_CHECK_THROW(selection_file(data.path("nowhere")).save({"run"}), std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()
