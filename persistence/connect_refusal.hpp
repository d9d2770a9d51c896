// Why a server that is there lets nobody in.
#pragma once

#include <string>

namespace signalbox::persistence {

// Connects once more to read the SQLSTATE that libpq keeps out of its errors unless it is asked
// before, and libpqxx does not ask. "28P01" also when a password is wanted and there is none; empty
// when no server said anything, or when it lets us in. Blocks for at most 5 s.
std::string sqlstate_of_refusal(const std::string& url);

// Waiting does not help: no such database (3D000), wrong user or password or one that may not get
// in (28…, 42501). Others may pass: starting up (57P03), too many connections (53300).
bool is_permanent_refusal(const std::string& sqlstate);

}  // namespace signalbox::persistence
