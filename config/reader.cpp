#include "config/reader.hpp"

#include <fmt/format.h>

#include <set>

#include "config/load.hpp"
#include "config/schema.hpp"
#include "config/values.hpp"
#include "config/yaml.hpp"

namespace signalbox::config {
namespace {

std::string join_path(const std::string& parent, const std::string& key) {
  return parent.empty() ? key : parent + "." + key;
}

// Quotes a key that has control characters, which must not reach a terminal.
std::string safe_key(const std::string& key) {
  std::string shown = in_quotes(key);
  return shown == "\"" + key + "\"" ? key : shown;
}

class reader {
 public:
  reader(std::string name, settings& out, problem_list& problems)
      : name_(std::move(name)), out_(out), problems_(problems) {}

  // `pattern` is the section's path in the table, `path` the same with list indices.
  void read_section(const YAML::Node& node, const std::string& pattern, const std::string& path,
                    std::size_t index);

 private:
  void read_child(const YAML::Node& node, const std::string& pattern, const std::string& path,
                  const std::string& key, origin key_at, std::size_t index);
  void read_list(const YAML::Node& node, const section& list, const std::string& path);
  void read_option(const YAML::Node& node, const option& o, const std::string& path,
                   std::size_t index, origin key_at);
  std::optional<value> read_text_list(const YAML::Node& node, const std::string& path);
  std::optional<value> read_scalar(const YAML::Node& node, const option& o) const;
  std::string found(const YAML::Node& node, const option* o) const;
  void visit(const YAML::Node& node);

  std::string name_;
  settings& out_;
  problem_list& problems_;
  std::size_t visited_ = 0;
};

void reader::visit(const YAML::Node& node) {
  if (++visited_ > max_yaml_nodes) {
    throw config_error(fmt::format("{}:{}: found more than {} values (aliases count each time)",
                                   name_, line_of(node), max_yaml_nodes));
  }
}

std::string reader::found(const YAML::Node& node, const option* o) const {
  if (node.IsMap()) return "a mapping";
  if (node.IsSequence()) return "a list";
  if (!node.IsScalar()) return "nothing";
  if (o != nullptr && o->secret) return "a secret";
  bool bare = is_plain(node) && !node.Scalar().empty() &&
              node.Scalar().find_first_not_of("0123456789.-") == std::string::npos;
  return bare && node.Scalar().size() < 80 ? node.Scalar() : in_quotes(node.Scalar());
}

void reader::read_section(const YAML::Node& node, const std::string& pattern,
                          const std::string& path, std::size_t index) {
  visit(node);
  if (node.IsNull()) return;  // "server:" with everything below it commented out
  if (!node.IsMap()) {
    problems_.unreadable(path, fmt::format("found {}, allowed a mapping", found(node, nullptr)),
                         {line_of(node)});
    return;
  }
  std::set<std::string> seen;
  for (const auto& entry : node) {
    visit(entry.first);
    origin at{line_of(entry.first)};
    if (!entry.first.IsScalar()) {
      problems_.unreadable(
          path, fmt::format("found {} as a key, allowed a name", found(entry.first, nullptr)), at);
      continue;
    }
    const std::string& key = entry.first.Scalar();
    if (!seen.insert(key).second) {
      problems_.unreadable(join_path(path, safe_key(key)), "found a second time, allowed once", at);
      continue;
    }
    read_child(entry.second, pattern, path, key, at, index);
  }
}

void reader::read_child(const YAML::Node& node, const std::string& pattern, const std::string& path,
                        const std::string& key, origin key_at, std::size_t index) {
  std::string child_pattern = join_path(pattern, key);
  std::string child_path = join_path(path, safe_key(key));
  problems_.located(child_path, key_at);
  if (const option* o = find_option(child_pattern)) {
    read_option(node, *o, child_path, index, key_at);
  } else if (find_section(child_pattern) != nullptr) {
    read_section(node, child_pattern, child_path, index);
  } else if (const section* list = find_section(child_pattern + "[]")) {
    read_list(node, *list, child_path);
  } else {
    std::vector<std::string> keys = keys_under(pattern);
    auto meant = closest(key, keys);
    std::string hint = meant ? fmt::format("did you mean {}?", *meant)
                             : fmt::format("allowed {}", fmt::join(keys, ", "));
    problems_.unreadable(child_path, (meant ? "unknown key; " : "unknown key, ") + hint, key_at,
                         meant ? join_path(path, *meant) : "");
  }
}

void reader::read_list(const YAML::Node& node, const section& list, const std::string& path) {
  visit(node);
  if (node.IsNull()) return;
  if (!node.IsSequence()) {
    problems_.unreadable(path, fmt::format("found {}, allowed a list", found(node, nullptr)),
                         {line_of(node)});
    return;
  }
  if (node.size() > list.max_elements) {
    problems_.unreadable(
        path, fmt::format("found {} entries, allowed up to {}", node.size(), list.max_elements),
        {line_of(node)});
    return;
  }
  list.resize(out_, node.size());
  for (std::size_t i = 0; i < node.size(); ++i) {
    std::string element = fmt::format("{}[{}]", path, i);
    problems_.located(element, {line_of(node[i])});
    read_section(node[i], list.path, element, i);
    for (const option& o : options()) {
      if (!o.required || list_of(o) != &list || problems_.given(element_path(o, i))) continue;
      problems_.missing(element_path(o, i), "missing, allowed " + allowed(o));
    }
  }
}

void reader::read_option(const YAML::Node& node, const option& o, const std::string& path,
                         std::size_t index, origin key_at) {
  visit(node);
  origin at = line_of(node) > 0 ? origin{line_of(node)} : key_at;
  problems_.located(path, at);
  std::optional<value> v;
  if (o.kind == value_kind::text_list && node.IsSequence()) {
    v = read_text_list(node, path);
    if (!v) return;
  } else {
    v = read_scalar(node, o);
  }
  if (!v) {
    problems_.unreadable(path, fmt::format("found {}, allowed {}", found(node, &o), allowed(o)),
                         at);
  } else if (auto bad = out_of_bounds(o, *v)) {
    problems_.unreadable(path, *bad, at);
  } else {
    o.set(out_, index, *v);
  }
}

std::optional<value> reader::read_text_list(const YAML::Node& node, const std::string& path) {
  std::vector<std::string> list;
  bool good = true;
  for (std::size_t i = 0; i < node.size(); ++i) {
    visit(node[i]);
    std::string entry = fmt::format("{}[{}]", path, i);
    problems_.located(entry, {line_of(node[i])});
    if (node[i].IsScalar()) {
      list.push_back(node[i].Scalar());
      continue;
    }
    good = false;
    problems_.unreadable(entry, fmt::format("found {}, allowed a text", found(node[i], nullptr)),
                         {line_of(node[i])});
  }
  return good ? std::optional<value>(std::move(list)) : std::nullopt;
}

std::optional<value> reader::read_scalar(const YAML::Node& node, const option& o) const {
  if (!node.IsScalar()) return std::nullopt;
  bool may_be_quoted = o.kind == value_kind::text || o.kind == value_kind::size;
  if (!may_be_quoted && !is_plain(node)) return std::nullopt;
  return parse_value(o, node.Scalar());
}

}  // namespace

void read_yaml(const std::string& text, const std::string& name, settings& out,
               problem_list& problems) {
  reader(name, out, problems).read_section(parse_yaml(text, name), "", "", 0);
}

}  // namespace signalbox::config
