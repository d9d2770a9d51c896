// A key as JSON: the fields that clients may set, and the document that they get.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "records/keys.hpp"

namespace signalbox {

struct document_problem {
  std::string message, param;
};

// Sets the fields that `fields` names and keeps the others. Refuses unknown fields, wrong types and
// values out of bounds before it changes anything.
std::optional<document_problem> apply_fields(const nlohmann::json& fields, wall_time now,
                                             key_record& key);
nlohmann::json to_document(const key_record& key);

}  // namespace signalbox
