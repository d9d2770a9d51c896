// The functions of libsodium that persistence needs.
#pragma once

#include <string>
#include <string_view>

#include "records/keys.hpp"

namespace signalbox::persistence {

std::string sha256_hex(std::string_view text);
std::string to_hex(const secret_digest& digest);
secret_digest digest_from_hex(const std::string& text);  // may throw std::invalid_argument

}  // namespace signalbox::persistence
