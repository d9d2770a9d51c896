// Reading a runtime's log while it grows, and while the next file begins.
#include "http/admin/log_reader.hpp"

#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "records/runtime_log.hpp"
#include "tests/scratch_folder.hpp"

using signalbox::older_runtime_log;
using signalbox::scratch_folder;
using signalbox::http::log_reader;
namespace fs = std::filesystem;

BOOST_AUTO_TEST_SUITE(log_readers)

namespace {

struct log_scene {
  void append(const std::string& text) const {
    std::ofstream(path, std::ios::app | std::ios::binary) << text;
  }
  void begin_next() const { fs::rename(path, older_runtime_log(path)); }

  scratch_folder scratch;
  std::string path = scratch.path("demo.log");
  log_reader reader{path};
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(the_last_lines_come_first, log_scene) {
  append("one\ntwo\nthree\n");
  BOOST_TEST(reader.last_lines(2) == "two\nthree\n");
  BOOST_TEST(reader.more().empty());
  append("four\n");
  BOOST_TEST(reader.more() == "four\n");
  BOOST_TEST(reader.more().empty());
}

BOOST_FIXTURE_TEST_CASE(any_number_of_lines_may_be_asked_for, log_scene) {
  append("one\ntwo\n");
  BOOST_TEST(log_reader(path).last_lines(0).empty());
  BOOST_TEST(log_reader(path).last_lines(1) == "two\n");
  BOOST_TEST(log_reader(path).last_lines(2) == "one\ntwo\n");
  BOOST_TEST(log_reader(path).last_lines(10000) == "one\ntwo\n");
}

BOOST_FIXTURE_TEST_CASE(lines_that_are_missing_are_in_the_older_file, log_scene) {
  append("one\ntwo\n");
  begin_next();
  append("three\n");
  BOOST_TEST(log_reader(path).last_lines(2) == "two\nthree\n");
  BOOST_TEST(log_reader(path).last_lines(1) == "three\n");
  fs::remove(path);
  BOOST_TEST(log_reader(path).last_lines(1) == "two\n");
}

BOOST_FIXTURE_TEST_CASE(what_is_much_is_cut_where_a_line_begins, log_scene) {
  const std::string line = std::string(999, 'x') + "\n";
  for (std::size_t size = 0; size < log_reader::max_tail_bytes + 5000; size += line.size()) {
    append(line);
  }
  const auto tail = reader.last_lines(10000);
  BOOST_TEST(tail.size() <= log_reader::max_tail_bytes);
  BOOST_TEST(tail.size() > log_reader::max_tail_bytes - 2 * line.size());
  BOOST_TEST(tail.size() % line.size() == 0u);
}

BOOST_FIXTURE_TEST_CASE(it_goes_on_in_the_next_file_and_misses_nothing, log_scene) {
  append("one\n");
  BOOST_TEST(reader.last_lines(10) == "one\n");
  append("two\n");
  begin_next();
  BOOST_TEST(reader.more() == "two\n");
  BOOST_TEST(reader.more().empty());
  append("three\n");
  BOOST_TEST(reader.more() == "three\n");
  append("four\n");
  begin_next();
  append("five\n");
  BOOST_TEST(reader.more() == "four\n");
  BOOST_TEST(reader.more() == "five\n");
}

BOOST_FIXTURE_TEST_CASE(a_file_may_begin_later_and_may_be_cut, log_scene) {
  BOOST_TEST(reader.last_lines(10).empty());
  BOOST_TEST(reader.more().empty());
  append("one\n");
  BOOST_TEST(reader.more() == "one\n");
  fs::resize_file(path, 0);
  BOOST_TEST(reader.more().empty());
  append("two\n");
  BOOST_TEST(reader.more() == "two\n");
}

BOOST_FIXTURE_TEST_CASE(pieces_are_bounded, log_scene) {
  BOOST_TEST(reader.last_lines(10).empty());
  append(std::string(2 * log_reader::max_piece_bytes + 1, 'x'));
  BOOST_TEST(reader.more().size() == log_reader::max_piece_bytes);
  BOOST_TEST(reader.more().size() == log_reader::max_piece_bytes);
  BOOST_TEST(reader.more().size() == 1u);
}

BOOST_FIXTURE_TEST_CASE(no_link_and_no_pipe_is_read, log_scene) {
  const auto secret = scratch.write("secret", "not for logs\n");
  fs::create_symlink(secret, path);
  BOOST_TEST(reader.last_lines(10).empty());
  BOOST_TEST(reader.more().empty());
  fs::remove(path);
  BOOST_REQUIRE_EQUAL(::mkfifo(path.c_str(), 0600), 0);
  BOOST_TEST(log_reader(path).last_lines(10).empty());
}

BOOST_AUTO_TEST_SUITE_END()
