// Server-sent events as they pass through: complete events are passed on as the bytes they came in,
// looked at for usage, and the usage-only chunk is taken out when the client had not asked for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/proxy/usage.hpp"

namespace signalbox::http {

class sse_filter {
 public:
  // usage_wanted: the client asked for usage itself, so that every event passes.
  explicit sse_filter(bool usage_wanted) : usage_wanted_(usage_wanted) {}

  // Takes bytes of any split and appends to `out` what can go on to the client: whole events only.
  // An event that grows past max_event_bytes passes unread, in parts.
  void feed(std::string_view bytes, std::string& out);
  // The stream has ended: what is left of an unfinished event, which counts as one.
  void finish(std::string& out);

  const std::optional<token_usage>& usage() const { return usage_; }
  void set_usage(std::optional<token_usage> usage) { usage_ = usage; }  // of an unstreamed answer
  // Events with choices so far: about one token each, for a stream that is cut off.
  std::uint64_t tokens_seen() const { return tokens_seen_; }
  bool saw_done() const { return saw_done_; }

  static constexpr std::size_t max_event_bytes = 1024 * 1024;

 private:
  bool keep(std::string_view event);  // is it for the client? Also counts

  bool usage_wanted_;
  bool saw_done_ = false;
  bool oversized_ = false;  // in the middle of an event that passes unread
  std::string partial_;
  std::optional<token_usage> usage_;
  std::uint64_t tokens_seen_ = 0;
};

}  // namespace signalbox::http
