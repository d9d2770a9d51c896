// The leases of programs that we did not start: the actor around scheduling::outside_leases. The
// machine has one.
#pragma once

#include "actors/actors.hpp"
#include "config/settings.hpp"
#include "persistence/lease_file.hpp"

namespace signalbox {

// The actor reads the file when it starts, and has it written on a thread of its own. It must get
// the leases' pool, which holds its grants, in a message. An exception from the file ends it.
outside_leases_actor spawn_outside_leases(caf::actor_system& system,
                                          const config::settings& settings,
                                          persistence::lease_file file);

}  // namespace signalbox
