// JSON as another reader finds it, to be compared with ours.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

namespace signalbox::fuzz {

using plain_json = nlohmann::ordered_json;

// Returns the value of a text that all readers read alike: valid, without a byte order mark, and no
// key twice in an object.
std::optional<plain_json> read_plain_json(std::string_view text);

// Returns whether no reader can take the text for JSON. Some refuse what RFC 8259 allows: numbers
// that no double can hold, and halves of surrogate pairs.
bool is_broken_json(std::string_view text);

}  // namespace signalbox::fuzz
