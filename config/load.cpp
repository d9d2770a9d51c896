#include "config/load.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>

#include "config/certificate.hpp"
#include "config/environment.hpp"
#include "config/problems.hpp"
#include "config/programs.hpp"
#include "config/reader.hpp"
#include "config/schema.hpp"
#include "config/trust.hpp"
#include "config/validate.hpp"
#include "config/yaml.hpp"

namespace signalbox::config {

namespace embedded {
extern const std::string_view demo_yaml;
}

namespace {

std::string read_file(const std::filesystem::path& file) {
  auto fail = [&](const std::string& why) -> std::string {
    throw config_error(fmt::format("{}: {}", file.string(), why));
  };
  std::error_code ignored;  // a file without access fails at opening, below
  if (std::filesystem::is_directory(file, ignored)) return fail("is a folder, expected a file");
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(std::strerror(errno));
  std::string text(max_yaml_bytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad()) return fail("cannot be read");
  text.resize(static_cast<std::size_t>(in.gcount()));
  if (text.size() > max_yaml_bytes) {
    return fail(fmt::format("is larger than {} bytes, the most allowed", max_yaml_bytes));
  }
  return text;
}

// Fills in defaults that depend on other options: a shorter request_timeout_s also shortens the
// timeouts that lie within it.
void fill_dependent_defaults(settings& s, const problem_list& problems) {
  for (std::size_t i = 0; i < s.models.size(); ++i) {
    model_options& m = s.models[i];
    auto at_most = [&](double& option, const char* key, double limit) {
      if (!problems.given(fmt::format("models[{}].{}", i, key))) option = std::min(option, limit);
    };
    at_most(m.first_byte_timeout_s, "first_byte_timeout_s", m.request_timeout_s);
    at_most(m.stream_idle_timeout_s, "stream_idle_timeout_s", m.request_timeout_s);
    at_most(m.expected_load_s, "expected_load_s", m.start_timeout_s);
    if (m.upstream_model.empty()) m.upstream_model = m.name;
  }
}

// There is training when the file has its section, be it empty, or the environment one of its
// variables.
bool has_training(const problem_list& problems) {
  return problems.given("training") ||
         std::any_of(options().begin(), options().end(), [&](const option& o) {
           return o.path.starts_with("training.") && problems.given(o.path);
         });
}

// Adds mistakes to `problems` and returns doubts, which are no errors.
std::vector<certificate_finding> check_certificate(const tls_options& files,
                                                   problem_list& problems) {
  if (files.certificate.empty() || files.private_key.empty()) return {};
  auto report = read_certificate(files, std::chrono::system_clock::now());
  for (const auto& mistake : report.mistakes) problems.unrelated(mistake.option, mistake.text);
  return std::move(report.doubts);
}

void check_authorities(const std::vector<model_options>& models, problem_list& problems) {
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (models[i].tls_ca.empty()) continue;
    try {
      make_trust(models[i].tls_ca);
    } catch (const std::runtime_error& e) {
      problems.unrelated(fmt::format("models[{}].tls_ca", i), e.what());
    }
  }
}

void tell(const problem_list& found, const machine_check::teller& teller) {
  if (!teller) return;
  for (const auto& line : found.lines()) teller(line);
}

}  // namespace

settings load(const std::optional<std::filesystem::path>& file, const environment& env,
              const std::optional<machine_check>& machine) {
  if (!file) return load_text(std::string(embedded::demo_yaml), "demo configuration", env, machine);
  return load_text(read_file(*file), file->string(), env, machine);
}

settings load_text(const std::string& yaml, const std::string& name, const environment& env,
                   const std::optional<machine_check>& machine) {
  settings s;
  problem_list problems(name);
  read_yaml(yaml, name, s, problems);
  apply_environment(env, s, problems);
  resolve_tokens(env, s, problems);
  resolve_api_keys(env, s, problems);
  fill_dependent_defaults(s, problems);
  s.training.is_configured = has_training(problems);
  check(s, problems);
  std::vector<certificate_finding> warnings;
  if (machine) {
    warnings = check_certificate(s.server.tls, problems);
    check_authorities(s.models, problems);
  }
  const bool is_strict = machine && !machine->on_doubt;
  if (is_strict) check_commands(s, machine->program_dir, env, problems);
  problems.raise();
  if (machine) {
    problem_list harmless = problems;  // which knows where each value came from
    for (const auto& warning : warnings) harmless.unrelated(warning.option, warning.text);
    tell(harmless, machine->on_warning);
    if (!is_strict) check_commands(s, machine->program_dir, env, problems);
    tell(problems, machine->on_doubt);
  }
  return s;
}

}  // namespace signalbox::config
