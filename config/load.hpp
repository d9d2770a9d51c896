// From files, environment and command line to validated settings; and the texts made of the same
// table: the JSON Schema and the list of environment names.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "config/settings.hpp"

namespace signalbox::config {

// Something is wrong with the configuration. what() is for a person: one line for each problem,
// "signalbox.yaml:12: models[0].max_concurrent: found 0, allowed 1 to 65536".
class config_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Looks a variable up; the only access to the environment (tests pass their own).
using environment = std::function<std::optional<std::string>(const std::string&)>;
environment process_environment();

// A look at the machine. Files of a certificate must be right. Programs that are named should be
// there, and what looks like a placeholder be one: a doubt only, for a program may come later, and
// another one's braces may be meant.
struct machine_check {
  using teller = std::function<void(const std::string&)>;  // gets a line as in config_error

  std::string program_dir;  // our own
  teller on_doubt = {};     // none: a doubt is an error
  teller on_warning = {};   // what is no error for anybody; the gateway logs it itself
};

// Defaults, then the file (optional), then environment variables; then validate(). All problems are
// reported at once. No file: the demo configuration, config/demo.yaml. `name` stands in errors.
settings load(const std::optional<std::filesystem::path>& file, const environment& env,
              const std::optional<machine_check>& machine = {});
settings load_text(const std::string& yaml, const std::string& name, const environment& env,
                   const std::optional<machine_check>& machine = {});

// Bounds, and relations between options: unique names, a model fits a GPU, endpoints parse …
// Throws config_error.
void validate(const settings& s);

std::string json_schema();  // for editors; config/signalbox.schema.json
// Every variable that load() looks at, but for those that keys[].token_env names.
std::vector<std::string> environment_names();

// Converts YAML to JSON text (the API contract is written in YAML and served as JSON). What JSON
// has no type for becomes a string. Throws config_error.
std::string yaml_to_json(const std::string& yaml);

}  // namespace signalbox::config
