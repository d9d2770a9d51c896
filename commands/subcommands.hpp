// What CLI11 says of a subcommand that is not there.
#pragma once

#include <CLI/App.hpp>

namespace signalbox::commands {

// As CLI11's require_subcommand(1), which however says of a misspelled one that one is required,
// and not which word it did not know.
inline void require_subcommand(CLI::App& command) {
  command.require_subcommand(0, 1);
  command.callback([&command] {
    if (command.get_subcommands().empty()) throw CLI::RequiredError("A subcommand");
  });
}

}  // namespace signalbox::commands
