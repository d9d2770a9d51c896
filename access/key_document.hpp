// A key as JSON: what clients may say of one, and what they are told.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "records/keys.hpp"

namespace signalbox {

struct document_problem {
  std::string message, param;
};

// Takes over what `fields` says; what it does not name stays. Refuses unknown fields, wrong types
// and values out of bounds, all before anything is changed.
std::optional<document_problem> apply_fields(const nlohmann::json& fields, wall_time now,
                                             key_record& key);
nlohmann::json to_document(const key_record& key);

}  // namespace signalbox
