#include "fuzz/plain_json.hpp"

#include <set>
#include <string>
#include <vector>

namespace signalbox::fuzz {

namespace {

// Reads all and keeps nothing.
struct fault_reader : nlohmann::json_sax<nlohmann::json> {
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& e) override {
    const std::string_view what = e.what();
    is_allowed = what.find("number overflow") != what.npos || what.find("surrogate") != what.npos;
    return false;
  }

  bool is_allowed = false;
};

}  // namespace

std::optional<plain_json> read_plain_json(std::string_view text) {
  // The library passes over a mark, and ends at a NUL.
  if (text.starts_with("\xef\xbb\xbf") || text.find('\0') != text.npos) return std::nullopt;
  std::vector<std::set<std::string>> keys;  // of the objects that are open
  bool has_twice = false;
  const auto note_keys = [&](int, plain_json::parse_event_t event, plain_json& parsed) {
    using event_t = plain_json::parse_event_t;
    if (event == event_t::object_start) keys.emplace_back();
    if (event == event_t::object_end) keys.pop_back();
    if (event == event_t::key) has_twice |= !keys.back().insert(parsed.get<std::string>()).second;
    return true;
  };
  auto value = plain_json::parse(text, note_keys, false);
  if (value.is_discarded() || has_twice) return std::nullopt;
  return value;
}

bool is_broken_json(std::string_view text) {
  if (text.find('\0') != text.npos) return true;
  fault_reader reader;
  return !nlohmann::json::sax_parse(text, &reader) && !reader.is_allowed;
}

}  // namespace signalbox::fuzz
