#include "persistence/lease_file.hpp"

#include <boost/test/unit_test.hpp>

#include "tests/scratch_folder.hpp"

using namespace signalbox;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(lease_files)

namespace {

scheduling::outside_record lease_record(const std::string& id) {
  scheduling::outside_record record;
  record.request.id = id;
  record.request.key_id = "user:alice";
  record.request.reason = "night run, \"quoted\"";
  record.request.work = work_class::eval;
  record.request.need = scheduling::whole_machine;
  record.request.ttl = 90s + 5ns;
  record.token = 0xffffffff00000001;
  record.gpus = {{0, 1}, {3, 0xffffffffffffffff}};
  return record;
}

}  // namespace

BOOST_AUTO_TEST_CASE(without_a_file_there_are_no_leases) {
  scratch_folder folder;
  BOOST_CHECK(persistence::lease_file(folder.path()).read().empty());
}

BOOST_AUTO_TEST_CASE(what_was_written_is_read) {
  scratch_folder folder;
  const persistence::lease_file file(folder.path());
  std::vector<scheduling::outside_record> records{lease_record("lease_1"), lease_record("lease_2")};
  records[1].is_ending = true;
  records[1].request.process = scheduling::process_mark{4711, 123456789};
  file.write(records);
  BOOST_CHECK(file.read() == records);
  file.write({});
  BOOST_CHECK(file.read().empty());
}

BOOST_AUTO_TEST_CASE(a_broken_file_is_not_taken_for_none) {
  scratch_folder folder;
  const persistence::lease_file file(folder.path());
  for (const auto* text : {"", "{", "[]", R"({"leases": [{"id": "lease_1"}]})"}) {
    folder.write("leases.json", text);
    BOOST_CHECK_THROW(file.read(), std::runtime_error);
  }
}

BOOST_AUTO_TEST_SUITE_END()
