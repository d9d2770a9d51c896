// The API contract, http/openapi.yaml, embedded in the binary.
#pragma once

#include <string_view>

namespace signalbox::http {

// Returns the contract as JSON text, converted at the first call. Thread-safe.
std::string_view openapi_json();

}  // namespace signalbox::http
