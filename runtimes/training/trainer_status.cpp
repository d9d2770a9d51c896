#include "runtimes/training/trainer_status.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace signalbox::runtimes {

namespace {

using ordered_object =
    nlohmann::ordered_json;  // people find the members where the trainer put them
using scheduling::training_word;

training_word word_of(const std::string& state) {
  if (state == "training") return training_word::training;
  if (state == "finished") return training_word::finished;
  if (state == "saved") return training_word::saved;
  return training_word::other;
}

}  // namespace

trainer_status unreadable_status(std::string why) {
  trainer_status status;
  status.error = std::move(why);
  return status;
}

trainer_status parse_status(std::string_view text) {
  if (text.size() > max_status_bytes) {
    return unreadable_status(fmt::format("is larger than {} bytes", max_status_bytes));
  }
  bool is_too_deep = false;
  const auto keep = [&is_too_deep](int depth, ordered_object::parse_event_t event,
                                   ordered_object&) {
    const bool opens = event == ordered_object::parse_event_t::object_start ||
                       event == ordered_object::parse_event_t::array_start;
    if (opens && depth >= max_status_depth) is_too_deep = true;
    return !is_too_deep;
  };
  const auto document = ordered_object::parse(text, keep, false);
  if (is_too_deep) {
    return unreadable_status(fmt::format("nests deeper than {} levels", max_status_depth));
  }
  if (document.is_discarded()) return unreadable_status("is not valid JSON, or not all of it");
  if (!document.is_object()) return unreadable_status("is not a JSON object");
  trainer_status status;
  const auto state = document.find("state");
  const bool has_state = state != document.end() && state->is_string();
  status.word = has_state ? word_of(state->get<std::string>()) : training_word::other;
  const auto time = document.find("time");
  if (time != document.end() && time->is_number()) status.time = time->get<double>();
  status.json = document.dump(-1, ' ', false, ordered_object::error_handler_t::replace);
  return status;
}

trainer_status heartbeat_at(double time) {
  trainer_status status;
  status.word = training_word::training;
  status.time = time;
  status.json = ordered_object{{"state", "training"}, {"time", time}}.dump();
  return status;
}

}  // namespace signalbox::runtimes
