// Filters a stream of server-sent events (WHATWG HTML 9.2), or of JSON in lines, each of which is
// an event then. Whole events are passed on byte by byte
// as they came, and read for usage, errors and the end. What a runtime adds only because usage was
// asked of it is taken out again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/proxy/usage.hpp"

namespace signalbox::http {

// The filter of one stream.
class sse_filter {
 public:
  // From now on events with usage alone are not for the client, who did not ask for them. Members
  // of such an event that are no usage go into the event before it, where they would have been
  // without our asking; so the event with a finish_reason is held back until the next one.
  void take_usage_out() { takes_usage_out_ = true; }
  void expect_lines() { has_lines_ = true; }          // of JSON
  void expect_several() { usage_.expect_several(); }  // as in usage_sum

  // Takes the next bytes of the stream, however they are split, and appends those for the client to
  // `out`: whole events, and lines of comment between events. An event of more than max_event_bytes
  // passes unread, in parts.
  void feed(std::string_view bytes, std::string& out);
  // Appends the event that is held back, if there is one, and returns whether there was.
  bool release(std::string& out);
  void drop_unfinished() { partial_.clear(); }  // event
  // Ends the stream. An unfinished event counts as a whole one and is appended to `out`.
  void finish(std::string& out);

  token_usage usage() const { return usage_.total(); }
  void set_usage(const token_usage& usage) { usage_.set(usage); }  // of an answer that is no stream
  // The tokens of the answer so far, by what came of it: the estimate where no usage is told.
  std::uint64_t tokens_seen() const { return tokens_seen_; }
  bool saw_event() const { return saw_event_; }                   // with data
  bool saw_done() const { return saw_done_; }                     // nothing more is to come
  bool is_finished() const { return saw_done_ || is_finished_; }  // nothing more needs to come
  int error_status() const { return error_status_; }  // of an error that the stream told; 0: none
  // Whether what was given out ends within an event, so that no other may be put behind it.
  bool is_cut() const { return passes_unread_; }

  static constexpr std::size_t max_event_bytes = 1024 * 1024;

 private:
  void pass_mark(std::string_view& bytes, std::string& out);
  void pass_line_feed(std::string_view& bytes, std::string& out);
  void keep_rest(std::string_view rest, std::size_t line_begin, std::string& out);
  void end_event(std::string_view event, std::string& out);
  void take_out(std::string_view data, std::string& out);

  bool takes_usage_out_ = false, has_lines_ = false;
  bool saw_event_ = false, saw_done_ = false, is_finished_ = false;
  int error_status_ = 0;
  std::uint64_t tokens_seen_ = 0;
  usage_sum usage_;
  std::string held_;             // an event
  std::string partial_;          // the event that is not complete
  std::size_t line_begin_ = 0;   // in partial_: where its last line begins
  std::string lines_;            // data of an event in several lines
  std::uint8_t mark_bytes_ = 0;  // of the byte order mark that may begin the stream; 3: over
  bool passes_unread_ = false;   // the event is too long, and its beginning was given out
  bool is_within_line_ = false;  // of an event that passes unread
  bool is_after_cr_ = false;     // an LF that comes next belongs to it …
  enum class line_home : std::uint8_t { out, held, nowhere } lf_home_ = line_home::out;  // … there
};

}  // namespace signalbox::http
