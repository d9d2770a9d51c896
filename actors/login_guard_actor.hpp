// Checks passwords, one at a time, and slows down who fails. A check takes tens of milliseconds and
// memory, so it has a thread of its own, which yields to all others.
#pragma once

#include "actors/actors.hpp"

namespace signalbox {

login_guard_actor spawn_login_guard(caf::actor_system& system, const config::settings& settings);

}  // namespace signalbox
