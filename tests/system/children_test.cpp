// The children that we started, and those that we adopted.
#include "system/children.hpp"

#include <sys/wait.h>

#include <boost/test/unit_test.hpp>

#include <chrono>
#include <csignal>
#include <system_error>
#include <vector>

#include "system/pidfd.hpp"
#include "system/process_table.hpp"
#include "system/start_program.hpp"
#include "tests/descriptors.hpp"

using namespace signalbox;

namespace {

constexpr std::chrono::seconds patience{30};

// Its child is ours when it has ended.
pid_t start_parent(const std::string& child) {
  adopt_orphans();
  const auto pid = start_program({.argv = {"sh", "-c", child + " & exit 3"}, .environment = {}});
  BOOST_REQUIRE(wait_for_end(open_pidfd(pid), patience));
  BOOST_TEST(list_children().size() == 2u);
  return pid;
}

int status_of(pid_t pid) {
  int status = 0;
  BOOST_TEST(wait_for_child(pid, &status) == pid);
  return WEXITSTATUS(status);
}

template <class Done>
void wait_until(Done done) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!done()) BOOST_REQUIRE(std::chrono::steady_clock::now() < deadline);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(children)

BOOST_AUTO_TEST_CASE(an_adopted_child_that_ends_is_reaped_and_a_started_one_is_left_to_its_owner) {
  const auto own = start_parent("exit 7");
  wait_until([&] {
    reap_adopted();
    return list_children() == std::vector{own};
  });
  BOOST_TEST(status_of(own) == 3);
  BOOST_TEST(list_children().empty());
}

BOOST_AUTO_TEST_CASE(an_adopted_child_that_lives_is_only_reaped_when_it_is_to_end) {
  const auto own = start_parent("sleep 600");
  reap_adopted();
  BOOST_TEST(list_children().size() == 2u);
  wait_until([] { return end_adopted() == 0; });
  BOOST_TEST(list_children() == std::vector{own}, boost::test_tools::per_element());
  BOOST_TEST(status_of(own) == 3);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_seen_is_not_taken_for_gone) {
  const auto own = start_parent("sleep 600");
  {
    const test::no_descriptor_left none;
    BOOST_CHECK_THROW(end_adopted(), std::system_error);
    BOOST_CHECK_THROW(list_children(), std::system_error);
    BOOST_CHECK_THROW(look_at(own), std::system_error);
    BOOST_CHECK_THROW(find_processes([](const process&) { return true; }), std::system_error);
    BOOST_CHECK_NO_THROW(reap_adopted());
  }
  BOOST_TEST(end_adopted() == 1u);
  wait_until([] { return end_adopted() == 0; });
  BOOST_TEST(status_of(own) == 3);
}

BOOST_AUTO_TEST_CASE(a_pid_stays_its_own_until_the_child_is_waited_for) {
  const auto exits = start_program({.argv = {"sh", "-c", "exit 3"}, .environment = {}});
  BOOST_TEST(wait_for_exit(exits));
  BOOST_TEST(list_children() == std::vector{exits}, boost::test_tools::per_element());
  BOOST_TEST(status_of(exits) == 3);
  BOOST_TEST(list_children().empty());

  const auto killed = start_program({.argv = {"sleep", "600"}, .environment = {}});
  BOOST_TEST(!has_ended(killed));
  kill(killed, SIGKILL);
  BOOST_TEST(!wait_for_exit(killed));
  BOOST_TEST(has_ended(killed));
  int status = 0;
  BOOST_TEST(wait_for_child(killed, &status) == killed);
  BOOST_TEST(status == SIGKILL);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_started_leaves_no_child) {
  BOOST_CHECK_THROW(start_program({.argv = {"/nowhere"}, .environment = {}}), std::exception);
  BOOST_TEST(list_children().empty());
}

BOOST_AUTO_TEST_SUITE_END()
