#include "http/proxy/sse.hpp"

#include <cstring>
#include <utility>

namespace signalbox::http {

namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

std::size_t position(std::string_view text, char wanted, std::size_t from, std::size_t to) {
  const void* const found = std::memchr(text.data() + from, wanted, to - from);
  return found ? static_cast<std::size_t>(static_cast<const char*>(found) - text.data())
               : text.npos;
}

// Finds the ends of lines, which are LF, CR or CRLF.
class line_ends {
 public:
  line_ends(std::string_view text, std::size_t from) : text_(text), from_(from) {}

  // Goes to the next end of a line. Returns false when there is none.
  bool next() {
    if (lf_ != text_.npos && lf_ < from_) lf_ = text_.npos;
    if (lf_ == text_.npos && has_lf_) {
      lf_ = position(text_, '\n', from_, text_.size());
      has_lf_ = lf_ != text_.npos;
    }
    end = position(text_, '\r', from_, has_lf_ ? lf_ : text_.size());
    if (end == text_.npos) end = lf_;
    if (end == text_.npos) return false;
    behind = end + (text_[end] == '\r' && end + 1 < text_.size() && text_[end + 1] == '\n' ? 2 : 1);
    from_ = behind;
    return true;
  }

  std::size_t end = 0;     // of the line, without what ends it
  std::size_t behind = 0;  // where the next line begins

 private:
  std::string_view text_;
  std::size_t from_, lf_ = std::string_view::npos;
  bool has_lf_ = true;
};

// Returns the payload of an event, or a null view if it has none; `lines` keeps one that comes in
// several lines.
std::string_view data_of(std::string_view event, std::string& lines) {
  constexpr std::string_view field = "data";
  std::string_view data;
  line_ends ends(event, 0);
  for (std::size_t begin = 0; begin < event.size();) {
    const bool is_ended = ends.next();
    auto line = event.substr(begin, (is_ended ? ends.end : event.size()) - begin);
    begin = is_ended ? ends.behind : event.size();
    if (!line.starts_with(field)) continue;
    line.remove_prefix(field.size());
    if (!line.empty() && line.front() != ':') continue;
    if (!line.empty()) line.remove_prefix(1);
    if (line.starts_with(' ')) line.remove_prefix(1);
    if (data.data() == nullptr) {
      data = line;
    } else {
      if (data.data() != lines.data()) lines.assign(data);
      lines.append("\n").append(line);
      data = lines;
    }
  }
  return data;
}

}  // namespace

void sse_filter::feed(std::string_view bytes, std::string& out) {
  if (mark_bytes_ < byte_order_mark.size()) pass_mark(bytes, out);
  if (is_after_cr_ && !bytes.empty()) pass_line_feed(bytes, out);
  // Usually a read has whole events, which do not go through partial_.
  std::string_view text = bytes;
  const auto kept = partial_.size();
  std::size_t line = 0;
  if (kept > 0) {
    line = line_begin_;
    partial_.append(bytes);
    text = partial_;
  }
  line_ends ends(text, kept);
  std::size_t begin = 0;
  while (ends.next()) {
    is_after_cr_ = ends.end + 1 == text.size() && text[ends.end] == '\r';
    const bool is_continued = std::exchange(is_within_line_, false);
    const bool is_empty = ends.end == line && !is_continued;
    const bool is_comment = !has_lines_ && line == begin && ends.end > line && text[line] == ':';
    line = ends.behind;
    lf_home_ = line_home::out;
    if (passes_unread_ || is_comment) {
      out.append(text.substr(begin, line - begin));
      passes_unread_ = passes_unread_ && !is_empty && !has_lines_;
    } else if (is_empty || has_lines_) {
      end_event(text.substr(begin, line - begin), out);
    } else {
      continue;
    }
    begin = line;
  }
  keep_rest(text.substr(begin), line - begin, out);
}

// A byte order mark goes to the client, and belongs to no line. What only begins like one does.
void sse_filter::pass_mark(std::string_view& bytes, std::string& out) {
  while (mark_bytes_ < byte_order_mark.size() && !bytes.empty()) {
    if (bytes.front() != byte_order_mark[mark_bytes_]) {
      partial_ = byte_order_mark.substr(0, mark_bytes_);
      mark_bytes_ = byte_order_mark.size();
      return;
    }
    bytes.remove_prefix(1);
    if (++mark_bytes_ == byte_order_mark.size()) out += byte_order_mark;
  }
}

// Passes the LF of a CRLF that was cut in two.
void sse_filter::pass_line_feed(std::string_view& bytes, std::string& out) {
  is_after_cr_ = false;
  if (bytes.front() != '\n') return;
  bytes.remove_prefix(1);
  if (!partial_.empty()) {
    partial_ += '\n';
    line_begin_ = partial_.size();
  } else if (lf_home_ == line_home::held && !held_.empty()) {
    held_ += '\n';
  } else if (lf_home_ != line_home::nowhere) {
    out += '\n';
  }
}

void sse_filter::keep_rest(std::string_view rest, std::size_t line_begin, std::string& out) {
  if (!passes_unread_ && rest.size() > max_event_bytes) {
    release(out);
    passes_unread_ = true;
  }
  if (passes_unread_) {
    is_within_line_ = is_within_line_ || line_begin < rest.size();
    out.append(rest);
    partial_.clear();
  } else if (rest.empty()) {
    partial_.clear();
  } else {
    line_begin_ = line_begin;
    if (rest.size() != partial_.size()) partial_ = std::string(rest);
  }
}

bool sse_filter::release(std::string& out) {
  if (held_.empty()) return false;
  out.append(std::exchange(held_, {}));
  return true;
}

void sse_filter::finish(std::string& out) {
  if (mark_bytes_ < byte_order_mark.size()) out += byte_order_mark.substr(0, mark_bytes_);
  const auto rest = std::exchange(partial_, {});
  if (!rest.empty()) end_event(rest, out);
  release(out);
}

void sse_filter::end_event(std::string_view event, std::string& out) {
  const auto data = has_lines_ ? event : data_of(event, lines_);
  if (data.data() == nullptr) {
    out.append(event);
    return;
  }
  saw_event_ = true;
  event_facts facts;
  if (data == "[DONE]") {
    facts.is_end = true;
  } else {
    facts = read_event(data);
  }
  usage_.add(facts);
  tokens_seen_ += facts.tokens;
  saw_done_ = saw_done_ || facts.is_end;
  is_finished_ = facts.is_finish || (is_finished_ && !facts.has_choices);
  if (facts.error_status != 0) error_status_ = facts.error_status;
  if (takes_usage_out_ && facts.is_usage_only) return take_out(data, out);
  release(out);
  const bool is_held = takes_usage_out_ && facts.is_finish;
  if (is_held) lf_home_ = line_home::held;
  (is_held ? held_ : out).append(event);
}

void sse_filter::take_out(std::string_view data, std::string& out) {
  lf_home_ = line_home::nowhere;
  const auto others = members_beyond_usage(data, held_);
  if (others.empty()) return;
  const auto end = held_.rfind('}');
  if (end != held_.npos) {
    held_.insert(end, others);
  } else {
    out.append("data: ").append(without_usage(data)).append("\n\n");
  }
}

}  // namespace signalbox::http
