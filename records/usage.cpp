#include "records/usage.hpp"

namespace signalbox {

std::string_view to_string(usage_source value) {
  switch (value) {
    case usage_source::realtime:
      return "realtime";
    case usage_source::batch:
      return "batch";
    case usage_source::eval:
      return "eval";
  }
  return "unknown";
}

std::string_view to_string(usage_status value) {
  switch (value) {
    case usage_status::success:
      return "success";
    case usage_status::error:
      return "error";
    case usage_status::cancelled:
      return "cancelled";
  }
  return "unknown";
}

}  // namespace signalbox
