// Checks passwords, one at a time, and slows down logins that fail. A check takes tens of
// milliseconds and memory, so the actor has its own thread, which yields to all others.
#pragma once

#include "actors/actors.hpp"

namespace signalbox {

login_guard_actor spawn_login_guard(caf::actor_system& system, const config::settings& settings);

}  // namespace signalbox
