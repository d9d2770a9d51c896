#include "http/proxy/form_body.hpp"

#include <restinio/helpers/http_field_parsers/content-disposition.hpp>
#include <restinio/helpers/http_field_parsers/content-type.hpp>
#include <restinio/helpers/multipart_body.hpp>

#include <optional>
#include <string>
#include <utility>

#include "text/ascii.hpp"

namespace signalbox::http {

namespace {

namespace hfp = restinio::http_field_parsers;
namespace multipart = restinio::multipart_body;

constexpr std::size_t max_parts = 100, max_part_head_bytes = 8 * 1024;

body_problem no_form() {
  return {"The request body is not a valid multipart/form-data.", ""};
}

// Returns the value of a parameter; nothing when it is not there, or twice.
std::optional<std::string> only_value(const hfp::parameter_with_mandatory_value_container_t& all,
                                      std::string_view name) {
  std::optional<std::string> found;
  for (const auto& [key, value] : all) {
    if (key != name) continue;
    if (found) return std::nullopt;
    found = value;
  }
  return found;
}

// Returns the line between parts, which begins with two hyphens; empty: there is none.
std::string delimiter_of(std::string_view content_type) {
  const auto type = hfp::content_type_value_t::try_parse(content_type);
  if (!type) return {};
  const auto boundary = only_value(type->media_type.parameters, "boundary");
  return boundary && !multipart::check_boundary_value(*boundary) ? "--" + *boundary : "";
}

// Bounds what the parser keeps of each part.
bool has_too_many_parts(std::string_view body, std::string_view delimiter) {
  std::size_t count = 0;
  for (auto at = body.find(delimiter); at != body.npos; at = body.find(delimiter, at + 1)) {
    if (++count > max_parts + 1) return true;
  }
  return false;
}

struct form_part {
  std::string name;
  bool is_file = false;
  std::string_view body;
};

std::optional<form_part> read_part(std::string_view text) {
  if (text.substr(0, max_part_head_bytes).find("\r\n\r\n") == text.npos) return std::nullopt;
  const auto parsed = multipart::try_parse_part(text);
  if (!parsed) return std::nullopt;
  std::size_t dispositions = 0;
  std::string disposition;
  parsed->fields.for_each_field([&](const restinio::http_header_field_t& field) {
    if (field.field_id() != restinio::http_field::content_disposition) return;
    ++dispositions;
    disposition = field.value();
  });
  const auto value = hfp::content_disposition_value_t::try_parse(disposition);
  if (dispositions != 1 || !value || value->value != "form-data") return std::nullopt;
  auto name = only_value(value->parameters, "name");
  if (!name) return std::nullopt;
  const auto has = [&](const char* key) {
    return hfp::find_first(value->parameters, key).has_value();
  };
  return form_part{std::move(*name), has("filename") || has("filename*"), parsed->body};
}

class form_reader {
 public:
  explicit form_reader(std::string_view body) : body_(body) {}

  std::optional<body_problem> read(const form_part& part) {
    if (!part.is_file) facts_.text_bytes += part.body.size();
    if (part.name == "model") return read_model(part);
    if (part.name == "stream") return read_stream(part);
    return std::nullopt;
  }

  std::variant<request_facts, body_problem> finish(bool needs_model) {
    if (needs_model && facts_.model.empty()) {
      return body_problem{"The field 'model' is missing.", "model", error_code::missing_parameter};
    }
    return std::move(facts_);
  }

 private:
  std::optional<body_problem> read_model(const form_part& part) {
    if (!facts_.model.empty()) return twice_in_form(part);
    if (part.is_file) return body_problem{"The field 'model' must be no file.", "model"};
    if (part.body.empty() || part.body.size() > max_model_bytes) {
      return body_problem{"The field 'model' must have 1 to 200 bytes.", "model"};
    }
    facts_.model = part.body;
    facts_.model_is_json = false;
    facts_.model_offset = static_cast<std::size_t>(part.body.data() - body_.data());
    facts_.model_length = part.body.size();
    return std::nullopt;
  }

  std::optional<body_problem> read_stream(const form_part& part) {
    if (std::exchange(has_stream_, true)) return twice_in_form(part);
    facts_.stream = equals_ignoring_case(part.body, "true");
    return std::nullopt;
  }

  static body_problem twice_in_form(const form_part& part) {
    return {"The field '" + part.name + "' is in the form twice.", part.name};
  }

  const std::string_view body_;
  request_facts facts_;
  bool has_stream_ = false;
};

}  // namespace

std::variant<request_facts, body_problem> read_form_body(std::string_view body,
                                                         std::string_view content_type,
                                                         bool needs_model) {
  const auto delimiter = delimiter_of(content_type);
  if (delimiter.empty()) return no_form();
  if (has_too_many_parts(body, delimiter)) return body_problem{"The form has too many fields.", ""};
  std::string completed;  // some clients leave out the last line's end, which the parser wants
  if (body.ends_with(delimiter + "--")) body = completed.append(body).append("\r\n");
  const auto parts = multipart::split_multipart_body(body, delimiter);
  if (parts.empty()) return no_form();
  form_reader reader(body);
  for (const auto& text : parts) {
    const auto part = read_part(text);
    if (!part) return no_form();
    if (auto problem = reader.read(*part)) return *problem;
  }
  return reader.finish(needs_model);
}

}  // namespace signalbox::http
