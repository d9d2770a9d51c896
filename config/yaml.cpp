#include "config/yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>

#include <sstream>

#include "config/load.hpp"

namespace signalbox::config {
namespace {

// Records where the parsed document begins.
class document_start final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& mark) override { mark_ = mark; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  const YAML::Mark& mark() const { return mark_; }

 private:
  YAML::Mark mark_;
};

// YAML::Load ignores what follows the first document, and that includes text it did not understand;
// YAML::LoadAll never returns on such text (yaml-cpp issue 1040).
void expect_one_document(const std::string& text) {
  std::istringstream in(text);
  YAML::Parser parser(in);
  document_start start;
  if (parser.HandleNextDocument(start) && parser.HandleNextDocument(start)) {
    throw YAML::ParserException(start.mark(), "found text after the end of the document");
  }
}

}  // namespace

YAML::Node parse_yaml(const std::string& text, const std::string& name) {
  if (text.size() > max_yaml_bytes) {
    throw config_error(
        fmt::format("{}: found {} bytes, allowed {}", name, text.size(), max_yaml_bytes));
  }
  try {
    expect_one_document(text);
    return YAML::Load(text);
  } catch (const YAML::Exception& e) {
    throw config_error(
        fmt::format("{}:{}:{}: {}", name, e.mark.line + 1, e.mark.column + 1, e.msg));
  }
}

unsigned line_of(const YAML::Node& node) {
  int line = node.Mark().line;
  return line < 0 ? 0 : static_cast<unsigned>(line) + 1;
}

bool is_plain(const YAML::Node& node) {
  return node.IsScalar() && (node.Tag().empty() || node.Tag() == "?");
}

}  // namespace signalbox::config
