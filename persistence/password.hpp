// Passwords, as Argon2id hashes. Each call takes tens of milliseconds and 19 MiB: never on a
// shard's thread.
#pragma once

#include <string>

namespace signalbox::persistence {

inline constexpr std::size_t longest_password = 1024;  // bytes

std::string hash_password(const std::string& password);

// An empty hash fits no password, and takes as long to find that out.
bool fits_password(const std::string& hash, const std::string& password);

}  // namespace signalbox::persistence
