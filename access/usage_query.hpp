// The text forms of a usage query: days, groupings, and cursors to continue from.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "records/usage.hpp"

namespace signalbox {

// Parse YYYY-MM-DD and YYYYMMDD into days since 1970-01-01; nothing when there is no such day.
std::optional<std::int32_t> parse_day(std::string_view text);
std::optional<std::int32_t> parse_bucket(std::string_view text);
std::string day_text(std::int32_t day);  // YYYY-MM-DD
std::int32_t day_of(wall_time at);       // UTC

// Parses a list of key, client, model, source and day, separated by commas; nothing when it has any
// other word.
std::optional<usage_grouping> parse_grouping(std::string_view text);

// Cursors are opaque to clients and valid for the same grouping only.
std::string cursor_of(const usage_grouping& by, const usage_group& last);
std::optional<usage_group> parse_cursor(const usage_grouping& by, const std::string& text);
// Cursors of seed 002's pages, where "0" is the beginning.
std::string key_cursor_of(const std::string& key_id);
std::optional<std::string> parse_key_cursor(const std::string& text);

// The JSON documents of one group: its grouping values and its counts.
nlohmann::json to_document(const usage_grouping& by, const usage_group& group);
nlohmann::json to_document(const key_usage& key, const std::optional<std::string>& bucket);

}  // namespace signalbox
