// What a question about usage is made of, as text: days, groups, places to go on from.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "records/usage.hpp"

namespace signalbox {

// Days since 1970-01-01 from YYYY-MM-DD and from YYYYMMDD; none when there is no such day.
std::optional<std::int32_t> parse_day(std::string_view text);
std::optional<std::int32_t> parse_bucket(std::string_view text);
std::string day_text(std::int32_t day);  // YYYY-MM-DD
std::int32_t day_of(wall_time at);       // UTC

// Of key, client, model, source and day, separated by commas; none when another word stands there.
std::optional<usage_grouping> parse_grouping(std::string_view text);

// Opaque to clients, and for the same grouping only.
std::string cursor_of(const usage_grouping& by, const usage_group& last);
std::optional<usage_group> parse_cursor(const usage_grouping& by, const std::string& text);
// The same for seed 002's pages, where "0" stands for the beginning.
std::string key_cursor_of(const std::string& key_id);
std::optional<std::string> parse_key_cursor(const std::string& text);

// What it is grouped by, and the counts.
nlohmann::json to_document(const usage_grouping& by, const usage_group& group);
nlohmann::json to_document(const key_usage& key, const std::optional<std::string>& bucket);

}  // namespace signalbox
