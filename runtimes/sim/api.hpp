// The answers of the simulated runtime as text: those of OpenAI's routes, and what all have in
// common.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtimes/sim/json.hpp"
#include "runtimes/sim/options.hpp"
#include "runtimes/sim/requests.hpp"

namespace signalbox::sim {

std::string error_body(const api_error& error, dialect spoken = dialect::openai);

// Writes the events of one stream. What is the same in every event is made once.
class event_frames {
 public:
  event_frames(const inference_request& request, std::string_view id, usage_mode usage);

  const std::string& begin() const { return begin_; }  // what comes before the text; may be empty
  std::string token(std::uint64_t index, std::int64_t sent_ns) const;
  std::string finish(std::int64_t sent_ns) const;  // all that comes behind the text

 private:
  // The last member of an event is a number: sim_sent_ns, or the sequence_number of Responses.
  struct split_frame {
    std::string before_text, before_number, end;
  };
  static split_frame split(json event, dialect spoken, bool has_text);
  std::int64_t number(std::uint64_t index, std::int64_t sent_ns) const {
    return is_numbered_ ? static_cast<std::int64_t>(begin_events_ + index) : sent_ns;
  }

  std::string begin_;
  split_frame first_, next_;
  std::vector<split_frame> last_;
  std::string end_;  // of the stream
  std::uint64_t begin_events_ = 0, tokens_ = 0;
  bool is_numbered_ = false;
};

// The whole answer to a request that is not streamed.
std::string answer_body(const inference_request& request, std::string_view id,
                        const sim_options& options);
const char* stream_type(dialect spoken);  // the Content-Type
std::string models_body(const sim_options& options);
std::string health_body(const sim_options& options, bool loaded);

}  // namespace signalbox::sim
