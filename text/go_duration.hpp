// Lengths of time as Go writes them, which programs written in Go expect of their clients.
#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace signalbox {

// Reads "1h30m", "-1.5s", "300ms" or "0", as Go's time.ParseDuration does: numbers each with a unit
// (h, m, s, ms, us, µs, ns) behind a sign or none. Nothing when it is none of these, or longer than
// 290 years.
std::optional<std::chrono::nanoseconds> parse_go_duration(std::string_view text);

}  // namespace signalbox
