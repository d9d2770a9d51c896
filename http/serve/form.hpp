// Bodies of the type application/x-www-form-urlencoded.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace signalbox::http {

using form = std::map<std::string, std::string>;

bool is_form_type(std::string_view content_type);  // with any parameters

// Decoded. None when it is no form, has a field twice, or more than 32.
std::optional<form> parse_form(std::string_view body);

}  // namespace signalbox::http
