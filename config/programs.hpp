// What the `command` of a model names: a program that is there, placeholders that stand for
// something.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "config/load.hpp"
#include "config/problems.hpp"

namespace signalbox::config {

inline constexpr std::array<std::string_view, 3> placeholders{"{port}", "{model}", "{data}"};

// Where programs are looked for.
std::string program_path(const environment& env);

// Our own program directory first, then `path`; a name with a slash is taken as it is.
std::optional<std::string> find_program(const std::string& name, const std::string& program_dir,
                                        const std::string& path);

void check_commands(const settings& s, const std::string& program_dir, const environment& env,
                    problem_list& problems);

}  // namespace signalbox::config
