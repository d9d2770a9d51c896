#include "config/model_changes.hpp"

#include <boost/test/unit_test.hpp>

#include "config/schema.hpp"

using namespace signalbox::config;

BOOST_AUTO_TEST_SUITE(model_changes)

namespace {

settings one_of_each() {
  settings s;
  s.models.resize(1);
  s.models[0].name = "red";
  s.keys.resize(1);
  s.gpus = {{gib}};
  return s;
}

// Returns a value of the option that is not `now`.
value changed(const option& o, const value& now) {
  if (o.words.size() > 1 && std::holds_alternative<std::string>(now)) {
    return o.words[0] == std::get<std::string>(now) ? o.words[1] : o.words[0];
  }
  return std::visit(
      [](auto v) -> value {
        using type = decltype(v);
        if constexpr (std::is_same_v<type, bool>)
          return !v;
        else if constexpr (std::is_same_v<type, std::string>)
          return v + "x";
        else if constexpr (std::is_same_v<type, std::vector<std::string>>)
          return type{"x"};
        else
          return static_cast<type>(v + 1);
      },
      now);
}

}  // namespace

// An option that the comparison forgot could change without notice.
BOOST_AUTO_TEST_CASE(every_option_counts) {
  const auto now = one_of_each();
  BOOST_TEST(changed_options(now, now).empty());
  for (const auto& o : options()) {
    auto next = now;
    o.set(next, 0, changed(o, o.get(now, 0)));
    const auto* list = list_of(o);
    const bool is_of_model = list != nullptr && list->path == "models[]";
    const auto changes = changed_options(now, next);
    BOOST_TEST((compare(now.models[0], next.models[0]) != model_change::nothing) == is_of_model,
               o.path);
    BOOST_TEST(changes.size() == (is_of_model ? 0u : 1u), o.path);
    if (!changes.empty()) BOOST_TEST(changes[0] == (list == nullptr ? o.path : list->path));
  }
}

BOOST_AUTO_TEST_CASE(lists_that_grow_or_shrink_changed) {
  const auto now = one_of_each();
  auto next = now;
  next.gpus.push_back({gib});
  next.keys.clear();
  BOOST_TEST(changed_options(now, next) == (std::vector<std::string>{"keys[]", "gpus[]"}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(only_what_a_runtime_was_started_with_needs_a_new_one) {
  const auto now = one_of_each().models[0];
  auto next = now;
  next.aliases = {"rouge"};
  next.upstream_paths = {"/tts/*"};
  next.max_waiting = 7;
  next.max_concurrent = 3;
  next.request_timeout_s = 5;
  next.idle_unload_s = next.expected_load_s = next.start_timeout_s = 7;
  next.drain_timeout_s = next.stop_grace_s = next.connection_idle_s = 7;
  BOOST_TEST((compare(now, next) == model_change::rules));
  auto rotated = now;
  rotated.api_key = "another, in the same variable";
  BOOST_TEST((compare(now, rotated) == model_change::runtime));
  next.command = {"other"};
  BOOST_TEST((compare(now, next) == model_change::runtime));
}

BOOST_AUTO_TEST_SUITE_END()
