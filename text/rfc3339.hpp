// Formats and parses times as RFC 3339 writes them.
#pragma once

#include <optional>
#include <string>

#include "records/wall_time.hpp"

namespace signalbox {

std::string rfc3339(wall_time at);  // UTC, with microseconds
// Accepts UTC and whole seconds only, of the years 1970 to 2199.
std::optional<wall_time> parse_rfc3339(const std::string& text);

}  // namespace signalbox
