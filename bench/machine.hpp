// Describes the machine and the programs behind the figures.
#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>

namespace signalbox::bench {

nlohmann::json describe_machine();  // date, cores, processor, memory, kernel, load average
double load_average();              // of the last minute

// Pins all present and future threads of a process to one of our cores: the last or the first.
// Throws std::runtime_error when we have only one.
enum class core : bool { first, last };
void keep_on(core which, pid_t pid);

}  // namespace signalbox::bench
