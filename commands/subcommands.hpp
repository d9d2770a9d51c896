// A better error message for a missing or misspelled subcommand.
#pragma once

#include <CLI/App.hpp>

namespace signalbox::commands {

// Works like CLI11's require_subcommand(1), but an unknown word is named in the error. CLI11 would
// only say that a subcommand is required.
inline void require_subcommand(CLI::App& command) {
  command.require_subcommand(0, 1);
  command.callback([&command] {
    if (command.get_subcommands().empty()) throw CLI::RequiredError("A subcommand");
  });
}

}  // namespace signalbox::commands
