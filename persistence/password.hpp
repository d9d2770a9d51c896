// Password hashes (Argon2id). Each call takes tens of milliseconds and 19 MiB, so never make it on
// a shard's thread.
#pragma once

#include <string>

namespace signalbox::persistence {

inline constexpr std::size_t max_password_bytes = 1024;

std::string hash_password(const std::string& password);

// An empty hash matches no password, and takes as long to check as any other.
bool fits_password(const std::string& hash, const std::string& password);

}  // namespace signalbox::persistence
