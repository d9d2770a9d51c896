#include "http/serve/route_path.hpp"

#include <algorithm>
#include <restinio/utils/percent_encoding.hpp>
#include <string>

#include "http/serve/routes.hpp"
#include "text/ascii.hpp"

namespace signalbox::http {

namespace {

// Returns a row with this path, whatever its method.
const route* row_of(std::string_view path) {
  const auto all = routes();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const route& r) { return match(r.path, path); });
  return found == all.end() ? nullptr : &*found;
}

// Returns how the table writes a path that it writes otherwise; empty: it does not.
std::string other_spelling(std::string_view path) {
  if (row_of(path) != nullptr) return {};
  if (path.ends_with('/')) path.remove_suffix(1);
  for (auto known : {std::string(path), "/v1" + std::string(path)}) {
    const auto* const row = row_of(known);
    if (row != nullptr && row->traits.dialect != dialect::none) return known;
  }
  return {};
}

// Leaves the path of an absolute target, with one slash where there are several.
std::optional<request_problem> reduce_to_path(restinio::http_request_header_t& header,
                                              std::string_view host) {
  std::string_view target = header.request_target();
  const auto scheme = std::min(target.find("://"), target.size());
  const auto name = target.substr(0, scheme);
  const bool is_absolute =
      equals_ignoring_case(name, "http") || equals_ignoring_case(name, "https");
  const bool has_slashes = path_of(header).find("//") != std::string_view::npos;
  if (!is_absolute && !has_slashes) return std::nullopt;
  std::string path;
  if (is_absolute) {
    target.remove_prefix(scheme + 3);
    const auto authority = target.substr(0, target.find_first_of("/?#"));
    if (host.data() != nullptr && !equals_ignoring_case(authority, host)) {
      return request_problem{error_code::misdirected_request,
                             "The request is for another host than the one that it names."};
    }
    target.remove_prefix(authority.size());
    if (!target.starts_with('/')) path = "/";
  }
  const auto rest = target.substr(std::min(target.find_first_of("?#"), target.size()));
  for (const char c : target.substr(0, target.size() - rest.size())) {
    if (c != '/' || !path.ends_with('/')) path += c;
  }
  header.request_target(path.append(rest));
  return std::nullopt;
}

}  // namespace

std::optional<std::string_view> match(std::string_view pattern, std::string_view path) {
  const auto brace = pattern.find('{');
  if (brace == pattern.npos) {
    if (pattern == path) return std::string_view();
    return std::nullopt;
  }
  auto tail = pattern.substr(pattern.find('}') + 1);
  if (tail.find('{') != tail.npos) tail = {};
  if (path.size() <= brace + tail.size() || !path.starts_with(pattern.substr(0, brace)) ||
      !path.ends_with(tail)) {
    return std::nullopt;
  }
  const auto parameter = path.substr(brace, path.size() - tail.size() - brace);
  const bool may_have_slash = tail.empty() || pattern.substr(brace).starts_with("{model}");
  if (!may_have_slash && parameter.find('/') != parameter.npos) return std::nullopt;
  return parameter;
}

std::optional<request_problem> read_target(restinio::http_request_header_t& header,
                                           std::string_view host) {
  if (header.request_target().find('#') != std::string::npos) {
    return request_problem{error_code::bad_request,
                           "The target of a request has no fragment (RFC 9112 3.2)."};
  }
  if (auto wrong = reduce_to_path(header, host)) return wrong;
  const auto path = path_of(header);
  auto known = other_spelling(path);
  if (known.empty()) return std::nullopt;
  header.request_target(known.append(header.request_target().substr(path.size())));
  return std::nullopt;
}

std::optional<std::string> decoded_path(std::string_view text) {
  using rules = restinio::utils::relaxed_unescape_traits;
  std::string encoded;  // in a path a plus stays a plus
  for (const char c : text) {
    if (c == '+') {
      encoded += "%2B";
    } else {
      encoded += c;
    }
  }
  auto decoded = restinio::utils::try_unescape_percent_encoding<rules>(encoded);
  return decoded ? std::optional(std::move(*decoded)) : std::nullopt;
}

const route* inference_route_of(std::string_view method, std::string_view path) {
  const auto known = other_spelling(path);
  if (!known.empty()) path = known;
  const auto all = routes();
  const auto found = std::find_if(all.begin(), all.end(), [&](const route& r) {
    return r.traits.is_inference && !r.traits.takes_any_body && r.method == method &&
           match(r.path, path);
  });
  return found == all.end() ? nullptr : &*found;
}

dialect dialect_of(std::string_view path) {
  constexpr std::string_view upstream = "/upstream/";
  constexpr std::size_t longest_route = 64;  // more than any; each slash costs a look at all routes
  if (path.starts_with(upstream)) {
    const auto from = std::max(upstream.size(), path.size() - std::min(path.size(), longest_route));
    for (auto at = path.find('/', from); at != path.npos; at = path.find('/', at + 1)) {
      const auto* const row = inference_route_of("POST", path.substr(at));
      if (row != nullptr) return row->traits.dialect;
    }
  }
  const auto known = other_spelling(path);
  const auto* const row = row_of(known.empty() ? path : known);
  if (row != nullptr && row->traits.dialect != dialect::none) return row->traits.dialect;
  return path.starts_with("/v1/") || path == "/v1" ? dialect::openai : dialect::none;
}

}  // namespace signalbox::http
