#include "http/proxy/sse.hpp"

#include <utility>

namespace signalbox::http {

namespace {

// Returns the end of the first event in `text`, past its empty line, or npos if it is not complete.
// Lines end in LF or CRLF (WHATWG HTML 9.2.6; nobody sends a lone CR).
std::size_t event_end(std::string_view text, std::size_t from) {
  for (auto at = text.find('\n', from); at != text.npos; at = text.find('\n', at + 1)) {
    if (at + 1 < text.size() && text[at + 1] == '\n') return at + 2;
    if (at + 2 < text.size() && text[at + 1] == '\r' && text[at + 2] == '\n') return at + 3;
  }
  return text.npos;
}

// Returns the payload of an event with a single data line; OpenAI's streams have no others.
std::string_view data_of(std::string_view event) {
  constexpr std::string_view prefix = "data:";
  const auto at = event.starts_with(prefix) ? 0 : event.find("\ndata:");
  if (at == event.npos) return {};
  event.remove_prefix(event.find(':', at) + 1);
  event = event.substr(0, event.find('\n'));
  if (!event.empty() && event.front() == ' ') event.remove_prefix(1);
  if (!event.empty() && event.back() == '\r') event.remove_suffix(1);
  return event;
}

}  // namespace

void sse_filter::feed(std::string_view bytes, std::string& out) {
  // Usually a read has whole events, which do not go through partial_.
  std::size_t scan_from = 0;
  std::string_view text = bytes;
  if (!partial_.empty()) {
    scan_from = partial_.size() > 3 ? partial_.size() - 3 : 0;
    partial_.append(bytes);
    text = partial_;
  }
  std::size_t begin = 0;
  for (auto end = event_end(text, scan_from); end != text.npos; end = event_end(text, end)) {
    const auto event = text.substr(begin, end - begin);
    if (oversized_ || keep(event)) out.append(event);
    oversized_ = false;
    begin = end;
  }
  const auto rest = text.substr(begin);
  if (rest.size() > max_event_bytes) {
    out.append(rest.substr(0, rest.size() - 3));  // 3: it may end in a part of an event's end
    oversized_ = true;
    partial_ = std::string(rest.substr(rest.size() - 3));
  } else if (rest.empty()) {
    partial_.clear();
  } else {
    partial_ = std::string(rest);
  }
}

void sse_filter::finish(std::string& out) {
  const auto rest = std::exchange(partial_, {});
  if (!rest.empty() && (oversized_ || keep(rest))) out.append(rest);
}

bool sse_filter::keep(std::string_view event) {
  const auto data = data_of(event);
  if (data.empty()) return true;
  if (data == "[DONE]") {
    saw_done_ = true;
    return true;
  }
  const auto facts = read_chunk(data);
  if (facts.usage) usage_ = facts.usage;
  if (facts.has_choices) ++tokens_seen_;
  return usage_wanted_ || !facts.is_usage_only;
}

}  // namespace signalbox::http
