#include "commands/usage.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "access/usage_query.hpp"
#include "commands/storage.hpp"
#include "persistence/stores.hpp"

namespace signalbox::commands {

namespace {

constexpr std::uint32_t rows_at_once = 1000;
constexpr std::int32_t default_days = 30;

struct report_options {
  std::string from, to, by = "day,key,model";
  bool csv = false;
};

using line = std::vector<std::string>;

std::int32_t day_given(const std::string& option, const std::string& text) {
  const auto day = parse_day(text);
  if (!day)
    throw std::runtime_error(option + ": found \"" + text + "\", allowed a day as YYYY-MM-DD");
  return *day;
}

list_usage query_of(const report_options& o) {
  list_usage query;
  const auto by = parse_grouping(o.by);
  if (!by) {
    throw std::runtime_error("--by: found \"" + o.by +
                             "\", allowed a list of key,client,model,source,day");
  }
  query.by = *by;
  query.last_day =
      o.to.empty() ? day_of(std::chrono::system_clock::now()) : day_given("--to", o.to);
  query.first_day =
      o.from.empty() ? query.last_day - default_days + 1 : day_given("--from", o.from);
  if (query.first_day > query.last_day) throw std::runtime_error("--from is after --to");
  query.limit = rows_at_once;
  return query;
}

line names_of(const usage_grouping& by) {
  line names;
  if (by.day) names.emplace_back("day");
  if (by.key) names.emplace_back("key");
  if (by.client) names.emplace_back("client");
  if (by.model) names.emplace_back("model");
  if (by.source) names.emplace_back("source");
  return names;
}

line texts_of(const usage_grouping& by, const usage_group& g) {
  line texts;
  if (by.day) texts.push_back(day_text(g.day));
  if (by.key) texts.push_back(g.key_id);
  if (by.client) texts.push_back(g.client_id);
  if (by.model) texts.push_back(g.model);
  if (by.source) texts.push_back(g.source);
  return texts;
}

const line count_names{"requests",      "successes",         "errors",        "cancelled",
                       "prompt_tokens", "completion_tokens", "total_tokens",  "gpu_seconds",
                       "queue_seconds", "estimated",         "cached_tokens", "reasoning_tokens"};

line counts_of(const usage_counts& c) {
  line texts;
  for (const auto count : {c.requests, c.successes, c.errors, c.cancelled, c.prompt_tokens,
                           c.completion_tokens, c.prompt_tokens + c.completion_tokens}) {
    texts.push_back(std::to_string(count));
  }
  for (const auto us : {c.gpu_us, c.queue_us}) {
    texts.push_back(fmt::format("{:.3f}", us_to_seconds(us)));
  }
  for (const auto count : {c.estimated, c.cached_tokens, c.reasoning_tokens}) {
    texts.push_back(std::to_string(count));
  }
  return texts;
}

// Quotes a CSV field (RFC 4180). A leading =, +, - or @ would make a spreadsheet calculate, so such
// names get an apostrophe.
std::string csv_text(std::string text, bool is_name) {
  if (is_name && !text.empty() && std::string_view("=+-@\t\r").find(text[0]) != std::string::npos) {
    text.insert(0, "'");
  }
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + '"';
}

void print_csv(const line& texts, std::size_t names) {
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::cout << (i == 0 ? "" : ",") << csv_text(texts[i], i < names);
  }
  std::cout << "\r\n";
}

// Aligns names to the left and numbers to the right.
void print_table(const std::vector<line>& lines, std::size_t names) {
  std::vector<std::size_t> widths(lines.front().size());
  for (const auto& one : lines) {
    for (std::size_t i = 0; i < one.size(); ++i) widths[i] = std::max(widths[i], one[i].size());
  }
  for (const auto& one : lines) {
    std::string text;
    for (std::size_t i = 0; i < one.size(); ++i) {
      text += i < names ? fmt::format("{:<{}}  ", one[i], widths[i])
                        : fmt::format("{:>{}}  ", one[i], widths[i]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    std::cout << text << '\n';
  }
}

int report(persistence::usage_store& store, const report_options& o) {
  auto query = query_of(o);
  auto head = names_of(query.by);
  const auto names = head.size();
  head.insert(head.end(), count_names.begin(), count_names.end());
  std::vector<line> lines{head};
  while (true) {
    const auto some = store.report(query).groups;
    for (const auto& group : some) {
      auto texts = texts_of(query.by, group);
      const auto counts = counts_of(group);
      texts.insert(texts.end(), counts.begin(), counts.end());
      lines.push_back(std::move(texts));
    }
    if (some.size() < rows_at_once) break;
    query.after = some.back();
  }
  if (o.csv) {
    for (const auto& one : lines) print_csv(one, names);
  } else {
    print_table(lines, names);
  }
  std::cout.flush();
  return 0;
}

}  // namespace

std::function<std::optional<int>()> add_usage(CLI::App& app,
                                              std::function<config::settings()> load) {
  auto* usage = app.add_subcommand("usage", "Print usage as a table or as CSV");
  auto o = std::make_shared<report_options>();
  usage->add_option("--from", o->from, "First UTC day, YYYY-MM-DD; default: 30 days to --to");
  usage->add_option("--to", o->to, "Last UTC day, inclusive; default: today");
  usage
      ->add_option("--by", o->by,
                   "Group by any of key, client, model, source and day, separated by commas")
      ->capture_default_str();
  usage->add_flag("--csv", o->csv, "As CSV (RFC 4180)");
  return [=, load = std::move(load)]() -> std::optional<int> {
    if (!usage->parsed()) return std::nullopt;
    query_of(*o);  // reports a bad option before it starts a database
    shared_storage storage(load());
    persistence::usage_store store(storage.db());
    return report(store, *o);
  };
}

}  // namespace signalbox::commands
