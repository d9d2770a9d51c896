// Filters a stream of server-sent events. Complete events are passed on byte by byte as they came,
// and read for usage. The chunk that has only usage is taken out if the client did not ask for it.
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
  // With `usage_wanted`, the client asked for usage itself, and every event passes.
  explicit sse_filter(bool usage_wanted) : usage_wanted_(usage_wanted) {}

  // Takes the next bytes of the stream, however they are split, and appends the whole events for
  // the client to `out`. An event of more than max_event_bytes passes unread, in parts.
  void feed(std::string_view bytes, std::string& out);
  // Ends the stream. An unfinished event counts as a whole one and is appended to `out`.
  void finish(std::string& out);

  const std::optional<token_usage>& usage() const { return usage_; }
  void set_usage(std::optional<token_usage> usage) { usage_ = usage; }  // if not streamed
  // The number of events with choices so far. Each has about one token, which is the estimate for a
  // stream that is cut off.
  std::uint64_t tokens_seen() const { return tokens_seen_; }
  bool saw_done() const { return saw_done_; }

  static constexpr std::size_t max_event_bytes = 1024 * 1024;

 private:
  bool keep(std::string_view event);  // counts the event; returns whether the client gets it

  bool usage_wanted_;
  bool saw_done_ = false;
  bool oversized_ = false;  // inside an event that passes unread
  std::string partial_;
  std::optional<token_usage> usage_;
  std::uint64_t tokens_seen_ = 0;
};

}  // namespace signalbox::http
