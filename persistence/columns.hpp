// Converts times and lists of texts to and from columns.
#pragma once

#include <cstdint>
#include <optional>
#include <pqxx/pqxx>
#include <string>
#include <vector>

#include "records/wall_time.hpp"

namespace signalbox::persistence {

// The longest name or id: three names and a source of usage fit into an index entry (2704 bytes).
inline constexpr std::size_t max_name_bytes = 256;

// Returns SQL that selects a time as a bigint, which libpqxx reads exactly, under the name
// COLUMN_us.
std::string microseconds(const std::string& column);

std::int64_t to_microseconds(wall_time at);
std::optional<std::int64_t> to_microseconds(const std::optional<wall_time>& at);
wall_time to_time(std::int64_t microseconds);
std::optional<wall_time> optional_time(const pqxx::field& field);

std::string to_array(const std::vector<std::string>& texts);
// Texts without line breaks, joined by line breaks, and back.
std::string from_lines(const std::vector<std::string>& texts);
std::vector<std::string> to_lines(const std::string& text);

}  // namespace signalbox::persistence
