// What the figures were measured on and with.
#pragma once

#include <nlohmann/json.hpp>

namespace signalbox::bench {

nlohmann::json describe_machine();  // date, cores, processor, memory, kernel, load average
double load_average();              // of the last minute

}  // namespace signalbox::bench
