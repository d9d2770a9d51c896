#include "bench/chat_events.hpp"

#include <stdexcept>

namespace signalbox::bench {

void event_splitter::add(std::string_view bytes) {
  constexpr std::size_t max_event_bytes = 4 << 20;
  if (pending_.size() + data_.size() > max_event_bytes) {
    throw std::length_error("an event over 4 MiB");
  }
  pending_ += bytes;
}

std::optional<std::string_view> event_splitter::next() {
  if (has_data_) {
    data_.clear();
    has_data_ = false;
  }
  while (true) {
    const auto line_end = pending_.find('\n', consumed_);
    if (line_end == std::string::npos) {
      pending_.erase(0, consumed_);
      consumed_ = 0;
      return std::nullopt;
    }
    std::string_view line(pending_.data() + consumed_, line_end - consumed_);
    consumed_ = line_end + 1;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("data:")) {
      line.remove_prefix(line.starts_with("data: ") ? 6 : 5);
      if (!data_.empty()) data_ += '\n';
      data_ += line;
    } else if (line.empty() && !data_.empty()) {
      has_data_ = true;
      return data_;
    }
  }
}

std::optional<chat_object> chat_reader::read(std::string_view json) {
  namespace ondemand = simdjson::ondemand;
  padded_.assign(json);
  padded_.reserve(json.size() + simdjson::SIMDJSON_PADDING);
  chat_object out;
  try {
    auto document = parser_.iterate(padded_.data(), padded_.size(), padded_.capacity());
    for (auto field : document.get_object()) {
      const std::string_view key = field.unescaped_key();
      ondemand::value value = field.value();
      if (key == "sim_sent_ns") {
        out.sent_ns = value.get_int64();
      } else if (key == "choices") {
        read_choices(value, out);
      } else if (key == "usage") {
        read_usage(value, out);
      } else if (key == "error") {
        return std::nullopt;
      }
    }
  } catch (const simdjson::simdjson_error&) {
    return std::nullopt;
  }
  return out;
}

void chat_reader::read_choices(simdjson::ondemand::value choices, chat_object& out) {
  for (auto choice : choices.get_array()) {
    for (auto field : choice.get_object()) {
      const std::string_view key = field.unescaped_key();
      if (key != "delta" && key != "message") continue;
      simdjson::ondemand::value content;
      if (field.value().get_object().find_field_unordered("content").get(content) ==
              simdjson::SUCCESS &&
          content.type() == simdjson::ondemand::json_type::string) {
        out.text = content.get_string();
      }
    }
  }
}

void chat_reader::read_usage(simdjson::ondemand::value usage, chat_object& out) {
  if (usage.is_null()) return;
  for (auto field : usage.get_object()) {
    const std::string_view key = field.unescaped_key();
    if (key == "prompt_tokens") {
      out.prompt_tokens = field.value().get_uint64();
    } else if (key == "completion_tokens") {
      out.completion_tokens = field.value().get_uint64();
      out.has_usage = true;
    }
  }
}

}  // namespace signalbox::bench
