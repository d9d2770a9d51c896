// Makes a row of the table of options from a member of a settings struct.
#pragma once

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "config/schema.hpp"

namespace signalbox::config {

inline constexpr double day_s = 86400;
inline constexpr double name_bytes = 200;
inline constexpr double text_bytes = 4096;

inline const std::vector<std::string> driver_words{"process", "external"};
inline const std::vector<std::string> usage_words{"auto", "always", "never"};
inline const std::vector<std::string> trainer_driver_words{"docker", "process"};
inline const std::vector<std::string> status_format_words{"json", "heartbeat"};
inline const std::vector<std::string> signal_words{"TERM", "INT", "QUIT", "HUP", "USR1", "USR2"};
inline const std::vector<std::string> residency_words{"pinned", "on_demand", "exclusive"};

// Returns the struct of type T that an option belongs to; `index` matters for lists only.
template <class T, class Settings>
auto& part(Settings& s, [[maybe_unused]] std::size_t index) {
  using std::is_same_v;
  if constexpr (is_same_v<T, server_options>)
    return s.server;
  else if constexpr (is_same_v<T, tls_options>)
    return s.server.tls;
  else if constexpr (is_same_v<T, key_options>)
    return s.keys.at(index);
  else if constexpr (is_same_v<T, gpu_options>)
    return s.gpus.at(index);
  else if constexpr (is_same_v<T, model_options>)
    return s.models.at(index);
  else if constexpr (is_same_v<T, scheduling_options>)
    return s.scheduling;
  else if constexpr (is_same_v<T, database_options>)
    return s.database;
  else if constexpr (is_same_v<T, security_options>)
    return s.security;
  else if constexpr (is_same_v<T, usage_options>)
    return s.usage;
  else if constexpr (is_same_v<T, metrics_options>)
    return s.metrics;
  else if constexpr (is_same_v<T, cors_options>)
    return s.cors;
  else if constexpr (is_same_v<T, log_options>)
    return s.log;
  else if constexpr (is_same_v<T, training_options>)
    return s.training;
  else if constexpr (is_same_v<T, tensorboard_options>)
    return s.training.tensorboard;
  else {
    static_assert(is_same_v<T, settings>);
    return s;
  }
}

// An enumerator corresponds to the word at the same position in the table.
template <class V>
value to_value(const V& member, const std::vector<std::string>& words) {
  if constexpr (std::is_enum_v<V>)
    return words.at(static_cast<std::size_t>(member));
  else if constexpr (std::is_same_v<V, std::uint32_t>)
    return std::uint64_t{member};
  else
    return member;
}

template <class V>
void assign(V& member, const value& v, const std::vector<std::string>& words) {
  if constexpr (std::is_enum_v<V>) {
    auto word = std::find(words.begin(), words.end(), std::get<std::string>(v));
    member = static_cast<V>(word - words.begin());
  } else if constexpr (std::is_same_v<V, std::uint32_t>) {
    member = static_cast<std::uint32_t>(std::get<std::uint64_t>(v));  // bounds are checked
  } else {
    member = std::get<V>(v);
  }
}

template <class V>
constexpr value_kind kind_of() {
  if constexpr (std::is_same_v<V, bool>)
    return value_kind::boolean;
  else if constexpr (std::is_same_v<V, std::uint32_t>)
    return value_kind::integer;
  else if constexpr (std::is_same_v<V, std::uint64_t>)
    return value_kind::size;
  else if constexpr (std::is_same_v<V, double>)
    return value_kind::seconds;
  else if constexpr (std::is_same_v<V, std::vector<std::string>>)
    return value_kind::text_list;
  else
    return value_kind::text;
}

struct extras {
  std::vector<std::string> words = {};
  std::string variable = {};
  bool required = false;
  bool secret = false;
  bool multiline = false;
  bool bytes = false;  // a 32-bit integer that is a size in bytes
};

template <class T, class V>
option row(std::string path, V T::*member, double min, double max, std::string description,
           extras more = {}) {
  auto set = [member, words = more.words](settings& s, std::size_t i, const value& v) {
    assign(part<T>(s, i).*member, v, words);
  };
  auto get = [member, words = more.words](const settings& s, std::size_t i) {
    return to_value(part<T>(s, i).*member, words);
  };
  return {std::move(path),
          more.bytes ? value_kind::size : kind_of<V>(),
          min,
          max,
          std::move(description),
          set,
          get,
          std::move(more.words),
          std::move(more.variable),
          more.required,
          more.secret,
          more.multiline};
}

void add_model_options(std::vector<option>& out);     // schema_models.cpp
void add_training_options(std::vector<option>& out);  // schema_training.cpp

}  // namespace signalbox::config
