// Both indexes against std::unordered_map.
#include "scheduling/slot_index.hpp"

#include <boost/test/unit_test.hpp>
#include <random>
#include <unordered_map>

using namespace signalbox::scheduling;

BOOST_AUTO_TEST_SUITE(slot_indexes)

namespace {

template <class Index, class MakeId>
void compare(MakeId make_id) {
  std::mt19937_64 random(5);
  Index index;
  std::unordered_map<std::uint64_t, std::uint32_t> plain;
  for (std::uint32_t step = 0; step < 60000; ++step) {
    const auto id = make_id(random, step);
    const auto found = plain.find(id);
    BOOST_REQUIRE_EQUAL(index.find(id), found == plain.end() ? index.none : found->second);
    const bool is_growing = step / 10000 % 2 == 0;
    if (found != plain.end() && (!is_growing || random() % 4 == 0)) {
      index.erase(id);
      plain.erase(found);
    } else if (found == plain.end() && (is_growing || random() % 4 == 0)) {
      index.insert(id, step);
      plain.emplace(id, step);
    }
  }
  for (const auto& [id, slot] : plain) BOOST_REQUIRE_EQUAL(index.find(id), slot);
  for (const auto& [id, slot] : plain) index.erase(id);
  for (const auto& [id, slot] : plain) BOOST_REQUIRE_EQUAL(index.find(id), index.none);
}

}  // namespace

BOOST_AUTO_TEST_CASE(any_ids_are_found) {
  const auto few = [](auto& random, auto) { return random() % 3000; };
  const auto far_apart = [](auto& random, auto) { return (random() % 3000) << 40; };
  compare<slot_index<std::uint64_t>>(few);
  compare<slot_index<std::uint64_t>>(far_apart);
  compare<ticket_index>(few);
  compare<ticket_index>(far_apart);
}

BOOST_AUTO_TEST_CASE(ids_of_several_shards_are_found) {
  const auto recent = [](auto& random, std::uint32_t step) {
    return (random() % 3) << 48 | (step / 8 + random() % 500);
  };
  compare<slot_index<std::uint64_t>>(recent);
  compare<ticket_index>(recent);
}

BOOST_AUTO_TEST_SUITE_END()
