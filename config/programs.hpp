// Checks the `command` of a model or of the trainer: its program must exist, its placeholders must
// be known.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "config/load.hpp"
#include "config/problems.hpp"

namespace signalbox::config {

inline constexpr std::array<std::string_view, 3> placeholders{"{port}", "{model}", "{data}"};

// Returns the PATH in which programs are searched.
std::string program_path(const environment& env);

// Searches our own program folder first, then `path`. A name with a slash is used as it is.
std::optional<std::string> find_program(const std::string& name, const std::string& program_dir,
                                        const std::string& path);

void check_commands(const settings& s, const std::string& program_dir, const environment& env,
                    problem_list& problems);

}  // namespace signalbox::config
