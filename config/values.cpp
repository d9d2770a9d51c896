#include "config/values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/locale/utf.hpp>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>

namespace signalbox::config {
namespace {

struct unit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr std::array<unit, 8> units{{{"TiB", 1024 * gib},
                                     {"GiB", gib},
                                     {"MiB", mib},
                                     {"KiB", kib},
                                     {"TB", 1000000000000},
                                     {"GB", 1000000000},
                                     {"MB", 1000000},
                                     {"kB", 1000}}};

template <class T>
std::optional<T> parse_number(std::string_view text) {
  T number{};
  const char* end = text.data() + text.size();
  auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return number;
}

// Leading zeros are refused: YAML 1.1 reads 010 as eight, most people as ten.
std::optional<std::uint64_t> parse_integer(std::string_view text) {
  if (text.size() > 1 && text.front() == '0') return std::nullopt;
  return parse_number<std::uint64_t>(text);
}

std::optional<double> parse_seconds(std::string_view text) {
  auto number = parse_number<double>(text);
  return number && std::isfinite(*number) ? number : std::nullopt;
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

bool is_word(const option& o, const std::string& text) {
  return std::find(o.words.begin(), o.words.end(), text) != o.words.end();
}

bool has_control_character(const option& o, const std::string& text) {
  return std::any_of(text.begin(), text.end(), [&](char c) {
    if (o.multiline && (c == '\n' || c == '\t')) return false;
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
}

std::optional<std::string> bad_text(const option& o, const std::string& text) {
  if (!o.words.empty()) {
    if (is_word(o, text)) return std::nullopt;
    return fmt::format("found {}, allowed one of {}{}", show(o, text), fmt::join(o.words, ", "),
                       suggestion(text, o.words));
  }
  if (has_control_character(o, text)) {
    return fmt::format("found {}, allowed no control characters", show(o, text));
  }
  return std::nullopt;
}

std::optional<std::string> bad_list(const option& o, const std::vector<std::string>& list) {
  constexpr std::size_t max_entry_bytes = 65536;
  if (static_cast<double>(list.size()) < o.min || static_cast<double>(list.size()) > o.max) {
    return fmt::format("found {} entries, allowed {}", list.size(), range_text(o));
  }
  for (const std::string& entry : list) {
    if (entry.size() > max_entry_bytes) {
      return fmt::format("found an entry of {} bytes, allowed up to {}", entry.size(),
                         max_entry_bytes);
    }
    if (auto bad = bad_text(o, entry)) return bad;
  }
  return std::nullopt;
}

std::string number_text(const option& o, double number) {
  if (o.kind == value_kind::size) return format_size(static_cast<std::uint64_t>(number));
  if (o.kind == value_kind::seconds) return fmt::format("{}", number);
  return fmt::format("{}", static_cast<std::uint64_t>(number));
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t factor = 1;
  for (const unit& u : units) {
    if (!text.ends_with(u.name)) continue;
    factor = u.bytes;
    text.remove_suffix(u.name.size());
    if (text.ends_with(' ')) text.remove_suffix(1);
    break;
  }
  auto number = parse_integer(text);
  if (!number || *number > std::numeric_limits<std::uint64_t>::max() / factor) return std::nullopt;
  return *number * factor;
}

std::string format_size(std::uint64_t bytes) {
  if (bytes == 0) return "0";
  for (const unit& u : units) {
    if (u.bytes % kib == 0 && bytes % u.bytes == 0) {
      return fmt::format("{}{}", bytes / u.bytes, u.name);
    }
  }
  return fmt::format("{}", bytes);
}

std::optional<value> parse_value(const option& o, std::string_view text) {
  auto wrap = [](auto parsed) { return parsed ? std::optional<value>(*parsed) : std::nullopt; };
  switch (o.kind) {
    case value_kind::boolean:
      if (text == "true") return true;
      if (text == "false") return false;
      return std::nullopt;
    case value_kind::integer:
      return wrap(parse_integer(text));
    case value_kind::seconds:
      return wrap(parse_seconds(text));
    case value_kind::size:
      return wrap(parse_size(text));
    case value_kind::text:
      return std::string(text);
    case value_kind::text_list:
      break;
  }
  return std::nullopt;
}

std::optional<std::string> out_of_bounds(const option& o, const value& v) {
  auto outside = [&](double number) { return number < o.min || number > o.max; };
  auto complaint = [&] { return fmt::format("found {}, allowed {}", show(o, v), range_text(o)); };
  if (auto* number = std::get_if<std::uint64_t>(&v)) {
    if (outside(static_cast<double>(*number))) return complaint();
  } else if (auto* seconds = std::get_if<double>(&v)) {
    if (!std::isfinite(*seconds) || outside(*seconds)) return complaint();
  } else if (auto* list = std::get_if<std::vector<std::string>>(&v)) {
    return bad_list(o, *list);
  } else if (auto* text = std::get_if<std::string>(&v)) {
    if (auto bad = bad_text(o, *text)) return bad;
    if (o.words.empty() && outside(static_cast<double>(text->size()))) {
      return fmt::format("found {} bytes, allowed {}", text->size(), range_text(o));
    }
  }
  return std::nullopt;
}

std::string range_text(const option& o) {
  std::string range = fmt::format("{} to {}", number_text(o, o.min), number_text(o, o.max));
  if (o.kind == value_kind::text) return range + " bytes";
  if (o.kind == value_kind::text_list) return range + " entries";
  return range;
}

std::string allowed(const option& o) {
  if (!o.words.empty()) {
    bool list = o.kind == value_kind::text_list;
    return fmt::format("{} of {}", list ? "a list" : "one", fmt::join(o.words, ", "));
  }
  switch (o.kind) {
    case value_kind::boolean:
      return "true or false";
    case value_kind::integer:
      return "an integer from " + range_text(o);
    case value_kind::seconds:
      return (o.path.ends_with("_s") ? "a number of seconds from " : "a number from ") +
             range_text(o);
    case value_kind::size:
      return "a size (bytes, or with kB … TB, KiB … TiB) from " + range_text(o);
    case value_kind::text:
      return "a text of " + range_text(o);
    case value_kind::text_list:
      break;
  }
  return "a list of " + range_text(o);
}

std::string show(const option& o, const value& v) {
  if (o.secret) return "a secret";
  if (auto* flag = std::get_if<bool>(&v)) return *flag ? "true" : "false";
  if (auto* text = std::get_if<std::string>(&v)) return in_quotes(*text);
  if (auto* seconds = std::get_if<double>(&v)) return fmt::format("{}", *seconds);
  if (auto* number = std::get_if<std::uint64_t>(&v)) {
    return o.kind == value_kind::size ? format_size(*number) : fmt::format("{}", *number);
  }
  std::vector<std::string> parts;
  for (const std::string& entry : std::get<std::vector<std::string>>(v)) {
    parts.push_back(in_quotes(entry));
  }
  return fmt::format("[{}]", fmt::join(parts, ", "));
}

bool is_plain_text(const std::string& text) {
  namespace utf = boost::locale::utf;
  for (auto at = text.begin(); at != text.end();) {
    const auto point = utf::utf_traits<char>::decode(at, text.end());
    if (!utf::is_valid_codepoint(point) || point < 0x20 || point == 0x7f) return false;
  }
  return true;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t max_bytes = 80;
  std::string out = "\"";
  for (char c : text.substr(0, max_bytes)) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out + (text.size() > max_bytes ? "\"…" : "\"");
}

std::optional<std::string> closest(std::string_view found,
                                   const std::vector<std::string>& candidates) {
  constexpr std::size_t max_edits = 2;
  std::size_t best = max_edits + 1;
  const std::string* choice = nullptr;
  for (const std::string& candidate : candidates) {
    std::size_t longer = std::max(candidate.size(), found.size());
    if (longer - std::min(candidate.size(), found.size()) > max_edits) continue;
    std::size_t distance = edit_distance(found, candidate);
    if (distance < best && 2 * distance < longer) {
      best = distance;
      choice = &candidate;
    }
  }
  return choice ? std::optional(*choice) : std::nullopt;
}

std::string suggestion(std::string_view found, const std::vector<std::string>& candidates) {
  auto choice = closest(found, candidates);
  return choice ? fmt::format("; did you mean {}?", *choice) : "";
}

}  // namespace signalbox::config
