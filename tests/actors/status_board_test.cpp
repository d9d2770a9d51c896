#include "actors/status_board.hpp"

#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <atomic>
#include <future>

namespace signalbox::test {
BOOST_AUTO_TEST_SUITE(status_board_tests)
namespace {

using scheduling::lifecycle_state;

constexpr wall_time first_day{std::chrono::hours(24)};

backend_status backend(backend_id id, const std::string& model, lifecycle_state state) {
  backend_status status;
  status.backend = id;
  status.model = model;
  status.state = state;
  return status;
}

lease_status lease(fencing_token token, const std::string& holder, std::uint32_t gpu) {
  lease_status status;
  status.token = token;
  status.holder = holder;
  status.kind = "backend";
  status.gpus = {{gpu, 1000}};
  return status;
}

// Each change as "2 backend 1", or "3 backend 1 gone".
std::vector<std::string> changes_since(const status_board& board, std::uint64_t seen) {
  std::vector<std::string> out;
  const auto changes = board.snapshot()->changes_since(seen).value();
  for (const auto& c : changes) {
    out.push_back(std::to_string(c.number) + " " + std::string(to_string(c.kind)) + " " + c.id +
                  (c.is_gone ? " gone" : ""));
  }
  return out;
}

// Checks what must be true in every snapshot, although others write meanwhile.
bool is_consistent(const status_snapshot& now) {
  const auto changes = now.changes_since(0);
  const auto last = changes && !changes->empty() ? changes->back().number : 0;
  const auto is_later = [](const auto& one, const auto& other) {
    return one.number >= other.number;
  };
  if (changes) {
    const auto& all = *changes;
    if (std::adjacent_find(all.begin(), all.end(), is_later) != all.end()) return false;
  }
  return std::all_of(now.models.begin(), now.models.end(),
                     [&](const auto& m) {
                       return std::any_of(
                           now.backends.begin(), now.backends.end(), [&](const auto& b) {
                             return b.second.model == m.first && b.second.state == m.second.state;
                           });
                     }) &&
         (!changes || last == now.number);
}

}  // namespace

BOOST_AUTO_TEST_CASE(numbers_grow_by_one_with_each_change) {
  status_board board;
  BOOST_TEST(board.snapshot()->number == 0u);
  board.queue_changed({"red", 1, 2, 4});
  board.gpus_changed({{0, 24000, 0}, {1, 24000, 0}});
  board.leases_changed({lease(9, "red", 1)}, first_day);
  board.backend_changed(backend(1, "red", lifecycle_state::ready), first_day);
  const std::vector<std::string> all{"2 gpu 0", "3 gpu 1", "4 lease 9", "5 backend 1",
                                     "6 model red"};
  BOOST_TEST(changes_since(board, 0) == all, boost::test_tools::per_element());
  BOOST_TEST(board.snapshot()->number == 6u);
  BOOST_TEST(changes_since(board, 6).empty());
}

BOOST_AUTO_TEST_CASE(to_write_what_is_so_changes_nothing) {
  status_board board;
  const auto write = [&board](wall_time at) {
    board.queue_changed({"red", 1, 2, 4});
    board.backend_changed(backend(1, "red", lifecycle_state::failed), at);
    board.leases_changed({lease(9, "red", 0), lease(10, "blue", 1)}, at);
    board.gpus_changed({{0, 24000, 1000}});
    board.backend_gone(2);
  };
  write(first_day);
  const auto before = board.snapshot();
  write(first_day + std::chrono::hours(1));
  BOOST_TEST((board.snapshot() == before));  // the same object
}

BOOST_AUTO_TEST_CASE(a_snapshot_stays_as_it_was) {
  status_board board;
  board.backend_changed(backend(1, "red", lifecycle_state::starting), first_day);
  const auto before = board.snapshot();
  board.backend_changed(backend(1, "red", lifecycle_state::ready), first_day);
  BOOST_TEST((before->model_state("red") == lifecycle_state::starting));
  BOOST_TEST((board.snapshot()->model_state("red") == lifecycle_state::ready));
  BOOST_TEST(before->number == 2u);
}

BOOST_AUTO_TEST_CASE(a_model_is_as_well_as_its_best_backend) {
  status_board board;
  BOOST_TEST((board.snapshot()->model_state("red") == lifecycle_state::stopped));
  backend_id id = 0;
  board.backend_changed(backend(++id, "blue", lifecycle_state::ready), first_day);
  for (const auto state :
       {lifecycle_state::stopped, lifecycle_state::failed, lifecycle_state::stopping,
        lifecycle_state::awaiting_lease, lifecycle_state::starting, lifecycle_state::draining,
        lifecycle_state::ready}) {
    board.backend_changed(backend(++id, "red", state), first_day);
    BOOST_TEST((board.snapshot()->model_state("red") == state));
  }
  board.backend_gone(id);
  BOOST_TEST((board.snapshot()->model_state("red") == lifecycle_state::draining));
  while (id > 1) board.backend_gone(--id);
  BOOST_TEST((board.snapshot()->model_state("red") == lifecycle_state::stopped));
}

BOOST_AUTO_TEST_CASE(a_state_counts_from_when_it_began_and_a_lease_from_its_grant) {
  status_board board;
  const auto later = first_day + std::chrono::hours(1);
  auto b = backend(1, "red", lifecycle_state::ready);
  board.backend_changed(b, first_day);
  b.failures = 1;
  board.backend_changed(b, later);
  BOOST_TEST((board.snapshot()->backends.at(1).since == first_day));
  b.state = lifecycle_state::draining;
  board.backend_changed(b, later);
  BOOST_TEST((board.snapshot()->backends.at(1).since == later));
  board.leases_changed({lease(9, "red", 0)}, first_day);
  auto asked = lease(9, "red", 0);
  asked.asked_back = true;
  board.leases_changed({asked, lease(10, "blue", 1)}, later);
  const auto now = board.snapshot();
  BOOST_TEST((now->leases.at(9).granted_at == first_day));
  BOOST_TEST(now->leases.at(9).asked_back);
  BOOST_TEST((now->leases.at(10).granted_at == later));
}

BOOST_AUTO_TEST_CASE(who_lacks_something_is_told_what_went_too) {
  status_board board;
  board.leases_changed({lease(1, "red", 0), lease(2, "blue", 1)}, first_day);
  board.backend_changed(backend(1, "red", lifecycle_state::ready), first_day);
  const auto seen = board.snapshot()->number;
  board.leases_changed({lease(2, "blue", 1)}, first_day);
  board.backend_gone(1);
  board.backend_changed(backend(1, "red", lifecycle_state::ready), first_day);
  const std::vector<std::string> lacking{"5 lease 1 gone", "6 backend 1 gone", "8 backend 1",
                                         "9 model red"};
  BOOST_TEST(changes_since(board, seen) == lacking, boost::test_tools::per_element());
  BOOST_TEST(!board.snapshot()->changes_since(10));  // of another run
}

BOOST_AUTO_TEST_CASE(what_went_long_ago_is_forgotten_and_that_is_told) {
  status_board board;
  const auto come_and_go = [&board](backend_id id) {
    board.backend_changed(backend(id, "red", lifecycle_state::stopped), first_day);
    board.backend_gone(id);
  };
  come_and_go(1);
  const auto early = board.snapshot()->number;
  for (backend_id id = 2; id <= status_snapshot::most_gone + 1; ++id) come_and_go(id);
  const auto now = board.snapshot();
  BOOST_TEST(now->gone.size() == status_snapshot::most_gone);
  BOOST_TEST(!now->changes_since(0));
  BOOST_TEST(!now->changes_since(early - 1));  // the first one's end is what was forgotten
  BOOST_TEST(now->changes_since(early).has_value());
}

BOOST_AUTO_TEST_CASE(many_write_and_read_at_once) {
  constexpr backend_id writers = 4;
  constexpr int rounds = 2000;
  status_board board;
  std::atomic<backend_id> writing{writers};
  const auto write = [&](backend_id id) {
    // Each has a model of its own: two numbers a change.
    for (int i = 0; i < rounds; ++i) {
      const auto state = i % 2 == 0 ? lifecycle_state::ready : lifecycle_state::draining;
      board.backend_changed(backend(id, "model " + std::to_string(id), state), first_day);
    }
    --writing;
  };
  const auto read = [&] {
    std::uint64_t seen = 0;
    bool is_good = true;
    do {
      const auto now = board.snapshot();
      is_good = is_good && now->number >= seen && is_consistent(*now);
      seen = now->number;
    } while (writing > 0);
    return is_good;
  };
  std::vector<std::future<bool>> readers;
  for (int i = 0; i < 2; ++i) readers.push_back(std::async(std::launch::async, read));
  std::vector<std::future<void>> all;
  for (backend_id id = 1; id <= writers; ++id) {
    all.push_back(std::async(std::launch::async, write, id));
  }
  for (auto& one : all) one.get();
  for (auto& one : readers) BOOST_TEST(one.get());
  BOOST_TEST(board.snapshot()->number == 2u * writers * rounds);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace signalbox::test
