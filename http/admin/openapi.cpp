#include "http/admin/openapi.hpp"

#include <string>

#include "config/load.hpp"

namespace signalbox::http {

namespace embedded {
extern const std::string_view openapi_yaml;
}

std::string_view openapi_json() {
  static const std::string json = config::yaml_to_json(std::string(embedded::openapi_yaml));
  return json;
}

}  // namespace signalbox::http
