// Loads and validates settings from the file, the environment and the command line; prints the
// table of options as JSON Schema and as a list of environment names.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "config/settings.hpp"

namespace signalbox::config {

// Thrown when the configuration is wrong. what() has one line for each problem, such as
// "signalbox.yaml:12: models[0].max_concurrent: found 0, allowed 1 to 65536".
class config_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Looks up a variable. Only process_environment() reads the real environment; tests pass their own.
using environment = std::function<std::optional<std::string>(const std::string&)>;
environment process_environment();

// Asks for checks against this machine. Certificate files must be valid, that is an error. A
// program that is missing, or a placeholder that is unknown, is only a doubt: the program may be
// installed later, and the braces may be meant for another program.
struct machine_check {
  using teller = std::function<void(const std::string&)>;  // gets a line as in config_error

  std::string program_dir;  // folder of our own programs
  teller on_doubt = {};     // empty: a doubt is an error
  teller on_warning = {};   // for what is never an error; the gateway logs such things itself
};

// Applies the defaults, then the file (if any), then environment variables, and validates the
// result. Throws config_error with all problems at once. Without a file it uses the demo
// configuration, config/demo.yaml. `name` is the file's name in errors.
settings load(const std::optional<std::filesystem::path>& file, const environment& env,
              const std::optional<machine_check>& machine = {});
settings load_text(const std::string& yaml, const std::string& name, const environment& env,
                   const std::optional<machine_check>& machine = {});

// Checks bounds and relations between options (unique names, models that fit a GPU, endpoints that
// parse …). Throws config_error.
void validate(const settings& s);

std::string json_schema();  // for editors; config/signalbox.schema.json
// Lists every variable that load() reads, except those that keys[].token_env and
// models[].api_key_env name.
std::vector<std::string> environment_names();

// Converts YAML to JSON text (the API contract is written in YAML and served as JSON). Values that
// JSON has no type for become strings. Throws config_error.
std::string yaml_to_json(const std::string& yaml);

}  // namespace signalbox::config
