// What the figures were measured on and with.
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>

namespace signalbox::bench {

nlohmann::json describe_machine();  // date, cores, processor, memory, kernel, load average
double load_average();              // of the last minute

// Puts all threads of a process, and those that they will make, on one of the cores that we may
// use: on the last one, or on the first. Throws std::runtime_error when there is only one.
enum class core : bool { first, last };
void keep_on(core which, pid_t pid);

}  // namespace signalbox::bench
