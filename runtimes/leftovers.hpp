// The second line of defence: finds what is left of a run when its guard was killed.
#pragma once

#include <sys/types.h>

#include <string>

namespace signalbox::runtimes {

// Kills every living process that carries the run's marker in its environment or is in the guard's
// session (a program may overwrite its environment, and may leave the session; not both by
// accident). Returns how many there were: none means that the run is gone.
std::size_t kill_leftovers(const std::string& run_id, pid_t guard_session);

}  // namespace signalbox::runtimes
