#include "http/proxy/upstream_target.hpp"

#include <algorithm>
#include <initializer_list>
#include <utility>

#include "config/path_segments.hpp"
#include "http/proxy/request_body.hpp"
#include "http/serve/route_path.hpp"
#include "http/serve/routes.hpp"
#include "text/ascii.hpp"

namespace signalbox::http {

namespace {

constexpr std::size_t max_encoded_bytes = 3 * max_model_bytes;  // of a name in a path

bool is_odd_character(char c) {
  const auto code = static_cast<unsigned char>(c);
  return code < 0x20 || code == 0x7f || c == '\\';
}

// Whether servers may read the path otherwise than it is written. It begins with a slash, and may
// end with one.
bool is_ambiguous(std::string_view path) {
  return std::any_of(path.begin(), path.end(), is_odd_character) || config::has_odd_segment(path);
}

// Whether one of the bytes that these stand for is percent-encoded in the path.
bool has_encoded(std::string_view path, std::initializer_list<std::string_view> codes) {
  for (auto at = path.find('%'); at != path.npos; at = path.find('%', at + 1)) {
    for (const auto code : codes) {
      if (equals_ignoring_case(path.substr(at + 1, 2), code)) return true;
    }
  }
  return false;
}

// Whether a server that decodes the path once more may find a dot, a slash or a backslash in it.
bool is_encoded_twice(std::string_view plain_path) {
  return has_encoded(plain_path, {"25", "2e", "2f", "5c"});
}

// Finds the model, and sets `out` to it and to the path behind it, as far as it is there.
void find_model(const model_table& models, std::string_view text, upstream_target& out) {
  for (std::size_t end = 0; end < text.size() && end <= max_encoded_bytes;) {
    end = std::min(text.find('/', end + 1), text.size());
    auto name = decoded_path(text.substr(0, end));
    if (!name) continue;
    if (out.model_name.empty()) out.model_name = *name;  // the first segment, for want of a better
    auto found = models.find(*name);
    if (!found) continue;
    out.model = std::move(found);
    out.model_name = std::move(*name);
    out.path = text.substr(end);
  }
}

}  // namespace

std::variant<upstream_target, request_problem> read_upstream_target(const model_table& models,
                                                                    std::string_view method,
                                                                    std::string_view text) {
  upstream_target out;
  find_model(models, text, out);
  if (!out.model) return out;
  if (out.path.empty()) out.path = "/";
  auto plain = decoded_path(out.path);
  if (!plain) {
    return request_problem{error_code::bad_request,
                           "The path behind the model is not percent-encoded UTF-8 (RFC 3986)."};
  }
  if (is_ambiguous(*plain) || is_encoded_twice(*plain)) {
    return request_problem{error_code::bad_request,
                           "The path behind the model has a segment that is empty, '.' or '..', "
                           "or a backslash or a control character, perhaps encoded twice."};
  }
  out.plain_path = std::move(*plain);
  out.has_encoded_slash = has_encoded(out.path, {"2f"});
  // Runtimes decode a path before they look for its route.
  out.known = inference_route_of(method, out.plain_path);
  if (out.known != nullptr) out.path = out.plain_path;
  return out;
}

bool is_listed(const std::vector<std::string>& patterns, std::string_view plain_path) {
  return std::any_of(patterns.begin(), patterns.end(), [&](std::string_view pattern) {
    if (!pattern.ends_with("/*")) return pattern == plain_path;
    pattern.remove_suffix(1);
    return plain_path.size() > pattern.size() && plain_path.starts_with(pattern);
  });
}

bool may_ask(const principal& who, scope of_upstream, const config::model_options& model,
             std::string_view plain_path) {
  return who.may(of_upstream) ||
         (who.may(scope::realtime) && is_listed(model.upstream_paths, plain_path));
}

}  // namespace signalbox::http
