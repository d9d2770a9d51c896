#include "system/private_file.hpp"

#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <fstream>

#include "tests/scratch_folder.hpp"

using namespace signalbox;

BOOST_AUTO_TEST_SUITE(private_files)

BOOST_AUTO_TEST_CASE(a_new_file_has_its_mode_whatever_the_umask) {
  const scratch_folder folder;
  using std::filesystem::perms;
  for (const mode_t mask : {0000, 0022, 0027, 0077, 0777}) {
    const auto file = folder.path("file " + std::to_string(mask));
    const auto before = ::umask(mask);
    make_group_file(file);
    ::umask(before);
    BOOST_TEST((std::filesystem::status(file).permissions() == perms(0640)), mask);
  }
}

BOOST_AUTO_TEST_CASE(a_file_that_is_there_stays_as_it_is) {
  const scratch_folder folder;
  const auto file = folder.path("file");
  std::ofstream(file) << "text";
  std::filesystem::permissions(file, std::filesystem::perms(0604));
  make_group_file(file);
  BOOST_TEST((std::filesystem::status(file).permissions() == std::filesystem::perms(0604)));
  BOOST_TEST(std::filesystem::file_size(file) == 4u);
}

BOOST_AUTO_TEST_CASE(a_file_gets_its_folder_and_failing_says_nothing) {
  const scratch_folder folder;
  make_group_file(folder.path("one/two/file"));
  BOOST_TEST(std::filesystem::exists(folder.path("one/two/file")));
  make_group_file("/proc/none/file");
  make_group_file("");
}

BOOST_AUTO_TEST_SUITE_END()
