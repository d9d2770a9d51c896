// Status and header fields of a runtime's answer, and what its hop-by-hop fields say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "scheduling/types.hpp"

namespace signalbox::http {

// The text is in one string, so that a field costs no allocation.
class upstream_head {
 public:
  int status = 0;

  void clear();
  void add_to_name(std::string_view part);  // begins a field unless the last one has no value yet
  void add_to_value(std::string_view part);
  std::size_t bytes() const { return text_.size(); }
  template <typename Visit>  // (name, value)
  void for_each_field(Visit visit) const {
    for (const auto& f : fields_) visit(name_of(f), value_of(f));
  }
  std::string_view find(std::string_view name) const;  // the last value; empty: there is none

  // Reads the hop-by-hop fields, and drops what goes no further: the fields that a Connection field
  // names (RFC 9110 7.6.1), and those whose name is none. Blanks behind a name are dropped, too
  // (RFC 9112 5.1).
  void end_hop();
  // What end_hop() has read: how long the runtime promises to keep the connection (Keep-Alive:
  // timeout=), whether it closes it, to which protocol it changes, and whether there is a
  // Transfer-Encoding, or one that is not chunked once.
  std::optional<duration> promised() const { return promised_; }
  bool closes() const { return closes_; }
  std::string_view upgrade() const {
    return std::string_view(text_).substr(upgrade_, upgrade_size_);
  }
  bool has_coding() const { return codings_ > 0; }
  bool has_odd_coding() const { return has_odd_coding_; }

 private:
  struct field {
    std::uint32_t name, name_end, value, end;  // where they begin and end in text_
  };
  std::string_view name_of(const field& f) const {
    return std::string_view(text_).substr(f.name, f.name_end - f.name);
  }
  std::string_view value_of(const field& f) const {
    return std::string_view(text_).substr(f.value, f.end - f.value);
  }

  std::string text_;
  std::vector<field> fields_;
  std::optional<duration> promised_;
  std::uint32_t upgrade_ = 0, upgrade_size_ = 0;  // in text_
  int codings_ = 0;
  bool value_began_ = true, closes_ = false, has_odd_coding_ = false;
};

}  // namespace signalbox::http
