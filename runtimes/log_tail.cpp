#include "runtimes/log_tail.hpp"

#include <boost/locale/utf.hpp>
#include <iterator>

namespace signalbox::runtimes {

std::string clean_text(std::string_view raw) {
  using utf8 = boost::locale::utf::utf_traits<char>;
  std::string result;
  for (auto at = raw.begin(); at != raw.end();) {
    const auto start = at;
    auto point = utf8::decode(at, raw.end());
    if (!boost::locale::utf::is_valid_codepoint(point)) {
      point = 0xFFFD;
      at = start + 1;  // decode() may have passed over the beginning of the next character
    }
    const bool control = (point < 0x20 && point != '\t') || point == 0x7F;
    if (!control) utf8::encode(point, std::back_inserter(result));
  }
  return result;
}

void log_tail::add(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto end = bytes.find_first_of("\r\n");  // progress bars write \r only
    const auto part = bytes.substr(0, end);
    open_line_.append(part.substr(0, line_limit - open_line_.size()));
    if (end == std::string_view::npos) return;
    this->end();
    bytes.remove_prefix(end + 1);
  }
}

void log_tail::end() {
  if (open_line_.empty()) return;
  lines_.push_back(clean_text(open_line_));
  if (lines_.size() > lines_kept) lines_.pop_front();
  on_line_(lines_.back());
  open_line_.clear();
}

}  // namespace signalbox::runtimes
