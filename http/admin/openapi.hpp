// The API contract, http/openapi.yaml, embedded in the binary.
#pragma once

#include <string_view>

namespace signalbox::http {

// As JSON text; converted once, at the first call. Thread-safe.
std::string_view openapi_json();

}  // namespace signalbox::http
