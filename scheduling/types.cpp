#include "scheduling/types.hpp"

namespace signalbox {

std::string_view to_string(work_class value) {
  constexpr std::array<std::string_view, work_class_count> names{"realtime", "batch", "eval",
                                                                 "training"};
  return names[static_cast<std::size_t>(value)];
}

std::optional<work_class> work_class_of(std::string_view name) {
  for (std::size_t i = 0; i < work_class_count; ++i) {
    if (const auto work = static_cast<work_class>(i); to_string(work) == name) return work;
  }
  return std::nullopt;
}

std::string_view to_string(priority value) {
  constexpr std::array<std::string_view, priority_count> names{"high", "normal", "low"};
  return names[static_cast<std::size_t>(value)];
}

std::string_view to_string(holder_kind value) {
  constexpr std::array<std::string_view, 3> names{"model", "training", "outside"};
  return names[static_cast<std::size_t>(value)];
}

std::string_view to_string(refusal value) {
  switch (value) {
    case refusal::queue_full:
      return "queue_full";
    case refusal::deadline_passed:
      return "deadline_passed";
    case refusal::model_failed:
      return "model_failed";
    case refusal::does_not_fit:
      return "does_not_fit";
    case refusal::shutting_down:
      return "shutting_down";
    case refusal::model_removed:
      return "model_removed";
  }
  return "unknown";
}

std::optional<priority> parse_priority(std::string_view text) {
  for (auto value : {priority::high, priority::normal, priority::low}) {
    if (text == to_string(value)) return value;
  }
  return std::nullopt;
}

}  // namespace signalbox
