#include "http/serve/field_text.hpp"

#include <algorithm>
#include <array>

namespace signalbox::http {

namespace {

constexpr auto token_characters = [] {
  std::array<bool, 256> is{};
  for (const unsigned char c : std::string_view("!#$%&'*+-.^_`|~")) is[c] = true;
  for (int c = '0'; c <= '9'; ++c) is[c] = true;
  for (int c = 'a'; c <= 'z'; ++c) is[c] = is[c - 'a' + 'A'] = true;
  return is;
}();

constexpr auto control_characters = [] {
  std::array<bool, 256> is{};
  for (int c = 0; c < 0x20; ++c) is[c] = c != '\t';
  is[0x7f] = true;
  return is;
}();

// Returns whether one of eight characters may be a control character: one is below 0x20, or 0x7f
// (Anderson, Bit Twiddling Hacks, "Determine if a word has a byte less than n").
bool is_doubtful(std::uint64_t word) {
  const auto without_del = word ^ in_each_byte(0x7f);
  const auto low = (word - in_each_byte(0x20)) & ~word;
  const auto del = (without_del - in_each_byte(1)) & ~without_del;
  return ((low | del) & in_each_byte(0x80)) != 0;
}

}  // namespace

bool is_token(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return token_characters[static_cast<unsigned char>(c)];
  });
}

bool has_control_characters(std::string_view value) {
  while (value.size() >= sizeof(std::uint64_t) && !is_doubtful(word_at(value.data()))) {
    value.remove_prefix(sizeof(std::uint64_t));
  }
  return std::any_of(value.begin(), value.end(),
                     [](char c) { return control_characters[static_cast<unsigned char>(c)]; });
}

}  // namespace signalbox::http
