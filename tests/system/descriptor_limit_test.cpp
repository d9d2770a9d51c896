#include "system/descriptor_limit.hpp"

#include <sys/resource.h>
#include <sys/wait.h>

#include <boost/test/unit_test.hpp>
#include <string>

#include "system/start_program.hpp"

using namespace signalbox;

BOOST_AUTO_TEST_CASE(the_limit_is_raised_for_us_and_not_for_programs) {
  rlimit limit{};
  BOOST_REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max - 1;
  BOOST_REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  BOOST_TEST(descriptor_limit() == limit.rlim_max - 1);
  BOOST_TEST(raise_descriptor_limit() == limit.rlim_max);
  BOOST_TEST(descriptor_limit() == limit.rlim_max);
  BOOST_TEST(raise_descriptor_limit() == limit.rlim_max);  // a second time is no other
  program_start start;
  start.argv = {"sh", "-c", "test $(ulimit -Sn) = " + std::to_string(limit.rlim_max - 1)};
  start.environment = {"PATH=/usr/bin:/bin"};
  int status = -1;
  const auto pid = start_program(start);
  BOOST_REQUIRE(waitpid(pid, &status, 0) == pid);
  BOOST_TEST(status == 0);
}
