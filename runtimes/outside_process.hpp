// Processes that we did not start, as holders of outside leases name them.
#pragma once

#include <cstdint>
#include <optional>

#include "scheduling/outside_leases.hpp"

namespace signalbox::runtimes {

// Returns nothing when this machine has no such process, or hides it from us.
std::optional<scheduling::process_mark> mark_process(std::int64_t pid);

// Returns whether the process has ended; false when that cannot be seen.
bool has_process_ended(const scheduling::process_mark& process);

}  // namespace signalbox::runtimes
