#include "runtimes/log_tail.hpp"

#include "text/utf8.hpp"

namespace signalbox::runtimes {

void log_tail::add(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto end = bytes.find_first_of("\r\n");  // progress bars write \r only
    const auto part = bytes.substr(0, end);
    open_line_.append(part.substr(0, max_line_bytes - open_line_.size()));
    if (end == std::string_view::npos) return;
    this->end();
    bytes.remove_prefix(end + 1);
  }
}

void log_tail::end() {
  if (open_line_.empty()) return;
  lines_.push_back(clean_line(open_line_));
  if (lines_.size() > lines_kept) lines_.pop_front();
  on_line_(lines_.back());
  open_line_.clear();
}

}  // namespace signalbox::runtimes
