// The streams of runtimes. However they are cut, a client gets the same: every byte, but for usage
// that it did not ask for, which a plain reading of the whole stream finds, too.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "fuzz/plain_usage.hpp"
#include "fuzz/support.hpp"
#include "http/proxy/sse.hpp"

namespace signalbox::fuzz {

namespace {

using namespace signalbox::http;

enum class kind { all_events, without_usage, lines };

struct reading {
  std::string out;
  token_usage usage;
  std::uint64_t tokens = 0;
  bool saw_event = false, saw_done = false, is_finished = false;
  int error_status = 0;
};

reading read_stream(std::string_view input, const cut& ends, kind wanted) {
  reading read;
  sse_filter filter;
  if (wanted == kind::without_usage) filter.take_usage_out();
  if (wanted == kind::lines) filter.expect_lines();
  feed_pieces(input, ends, [&](std::string_view piece) { filter.feed(piece, read.out); });
  filter.finish(read.out);
  read.usage = filter.usage();
  read.tokens = filter.tokens_seen();
  read.saw_event = filter.saw_event();
  read.saw_done = filter.saw_done();
  read.is_finished = filter.is_finished();
  read.error_status = filter.error_status();
  return read;
}

void require_same_facts(const reading& a, const reading& b, std::string_view property) {
  require(is_same(a.usage, b.usage) && a.tokens == b.tokens && a.saw_event == b.saw_event &&
              a.saw_done == b.saw_done && a.is_finished == b.is_finished &&
              a.error_status == b.error_status,
          property);
}

// A part of a stream: an event with data, or what may pass by itself.
struct part {
  std::string_view bytes;
  std::string data;
  bool has_data = false;

  void read(std::string_view line) {
    const auto colon = std::min(line.find(':'), line.size());
    if (line.substr(0, colon) != "data") return;
    auto value = line.substr(std::min(colon + 1, line.size()));
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (has_data) data += '\n';
    data += value;
    has_data = true;
  }
};

// Reads a whole stream by WHATWG HTML 9.2.
std::vector<part> plain_parts(std::string_view input) {
  constexpr std::string_view mark = "\xef\xbb\xbf";
  std::vector<part> parts;
  auto rest = input;
  const auto take = [&rest, &parts](std::size_t size, part made) {
    made.bytes = rest.substr(0, size);
    rest.remove_prefix(size);
    parts.push_back(std::move(made));
  };
  if (rest.starts_with(mark)) take(mark.size(), {});
  part now;
  for (std::size_t at = 0; at < rest.size();) {
    const auto end = std::min(rest.find_first_of("\r\n", at), rest.size());
    const auto line = rest.substr(at, end - at);
    const bool is_first = at == 0;
    at = std::min(end + (rest.substr(end).starts_with("\r\n") ? 2 : 1), rest.size());
    now.read(line);
    const bool is_comment = is_first && line.starts_with(':') && end < rest.size();
    if (!is_comment && !line.empty()) continue;
    take(std::exchange(at, 0), std::exchange(now, {}));
  }
  take(rest.size(), now);
  return parts;
}

// What a client gets who did not ask for usage.
std::string without_usage_events(std::string_view input) {
  std::string out, held;
  for (const auto& p : plain_parts(input)) {
    const auto facts = p.has_data && p.data != "[DONE]" ? read_event(p.data) : event_facts();
    if (facts.is_usage_only) {
      const auto others = members_beyond_usage(p.data, held);
      const auto end = held.rfind('}');
      if (others.empty()) continue;
      if (end != held.npos) {
        held.insert(end, others);
      } else {
        out.append("data: ").append(without_usage(p.data)).append("\n\n");
      }
      continue;
    }
    if (p.has_data) out += std::exchange(held, {});
    (facts.is_finish ? held : out).append(p.bytes);
  }
  return out + held;
}

}  // namespace

void try_input(std::string_view input) {
  const auto all = read_stream(input, uncut(input), kind::all_events);
  const auto whole = read_stream(input, uncut(input), kind::without_usage);
  const auto lines = read_stream(input, uncut(input), kind::lines);
  require(all.out == input && lines.out == input, "who asked for usage gets every byte");
  require_bounds(all.usage);
  require_bounds(lines.usage);
  require_same_facts(whole, all, "who asked for usage changes nothing of what is read");
  require(whole.out == without_usage_events(input), "only usage is taken out");
  for (const auto& ends : cuts_of(input)) {
    require(read_stream(input, ends, kind::all_events).out == input, "a cut changes no byte");
    const auto read = read_stream(input, ends, kind::without_usage);
    require(read.out == whole.out, "a cut changes nothing of what the client gets");
    require_same_facts(read, whole, "a cut changes nothing of what is read");
    const auto cut_lines = read_stream(input, ends, kind::lines);
    require(cut_lines.out == input, "a cut changes no byte of lines");
    require_same_facts(cut_lines, lines, "a cut changes nothing of what is read from lines");
  }
}

}  // namespace signalbox::fuzz
