#include "http/proxy/upstream_head.hpp"

#include <algorithm>
#include <charconv>

#include "http/serve/field_text.hpp"
#include "text/ascii.hpp"

namespace signalbox::http {

namespace {

// Of a promise in seconds; a server that promises more is believed this much.
constexpr std::uint32_t longest_promise = 60;

constexpr std::size_t max_named = 100;  // fields that Connection names

std::optional<duration> promised_time(std::string_view keep_alive) {
  constexpr std::string_view name = "timeout=";
  std::optional<duration> promised;
  for_each_listed(keep_alive, [&](std::string_view option) {
    if (!equals_ignoring_case(option.substr(0, name.size()), name)) return;
    std::uint32_t seconds = 0;
    const auto digits = option.substr(name.size());
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), seconds);
    if (error != std::errc{} || end != digits.data() + digits.size()) return;
    promised = std::chrono::seconds(std::min(seconds, longest_promise));
  });
  return promised;
}

}  // namespace

void upstream_head::clear() {
  status = 0;
  text_.clear();
  fields_.clear();
  promised_.reset();
  upgrade_ = upgrade_size_ = 0;
  value_began_ = true;
  codings_ = 0;
  closes_ = has_odd_coding_ = false;
}

// The parser gives a name or a value in parts if it came in parts from the network.
void upstream_head::add_to_name(std::string_view part) {
  const auto at = static_cast<std::uint32_t>(text_.size());
  if (value_began_) {
    if (fields_.empty()) {
      text_.reserve(512);
      fields_.reserve(16);
    }
    fields_.push_back({at, at, at, at});
    value_began_ = false;
  }
  text_.append(part);
  auto& f = fields_.back();
  f.name_end = f.value = f.end = static_cast<std::uint32_t>(text_.size());
}

void upstream_head::add_to_value(std::string_view part) {
  value_began_ = true;
  text_.append(part);
  fields_.back().end = static_cast<std::uint32_t>(text_.size());
}

std::string_view upstream_head::find(std::string_view name) const {
  std::string_view found;
  for (const auto& f : fields_) {
    if (equals_ignoring_case(name_of(f), name)) found = value_of(f);
  }
  return found;
}

void upstream_head::end_hop() {
  std::vector<std::string_view> named;
  for (auto& f : fields_) {
    while (f.name_end > f.name && is_blank(text_[f.name_end - 1])) --f.name_end;
    const auto name = name_of(f);
    if (equals_ignoring_case(name, "upgrade")) {
      upgrade_ = f.value;
      upgrade_size_ = static_cast<std::uint32_t>(without_blanks_behind(value_of(f)).size());
    }
    if (equals_ignoring_case(name, "keep-alive")) promised_ = promised_time(value_of(f));
    if (equals_ignoring_case(name, "transfer-encoding")) {
      const auto coding = without_blanks_behind(value_of(f));
      has_odd_coding_ = codings_++ > 0 || !equals_ignoring_case(coding, "chunked");
    }
    if (!equals_ignoring_case(name, "connection")) continue;
    for_each_listed(value_of(f), [&](std::string_view option) {
      const bool is_close = equals_ignoring_case(option, "close");
      closes_ = closes_ || is_close;
      if (is_close || equals_ignoring_case(option, "keep-alive")) return;
      if (named.size() < max_named) named.push_back(option);
    });
  }
  std::erase_if(fields_, [&](const field& f) {
    const auto name = name_of(f);
    return !is_token(name) || std::any_of(named.begin(), named.end(), [&](std::string_view option) {
      return equals_ignoring_case(option, name);
    });
  });
}

}  // namespace signalbox::http
