// Finds out why a server refuses a connection.
#pragma once

#include <string>

namespace signalbox::persistence {

// Connects once more and returns the SQLSTATE of the refusal, which libpq leaves out of its errors
// unless asked beforehand (libpqxx does not ask). Returns "28P01" also when a password is required
// and none was given; an empty text when no server answered, or when it accepts the connection.
// Blocks for at most 5 s.
std::string sqlstate_of_refusal(const std::string& url);

// Returns whether waiting will not help: no such database (3D000), a wrong user or password, or a
// user without access (28…, 42501). Others may pass: starting up (57P03), too many connections
// (53300).
bool is_permanent_refusal(const std::string& sqlstate);

}  // namespace signalbox::persistence
