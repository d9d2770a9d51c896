// Parses bodies of the type application/x-www-form-urlencoded.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace signalbox::http {

using form = std::map<std::string, std::string>;

bool is_form_type(std::string_view content_type);  // ignores parameters

// Returns the decoded fields; nothing when the body is malformed, repeats a field, or has more than
// 32 fields.
std::optional<form> parse_form(std::string_view body);

}  // namespace signalbox::http
