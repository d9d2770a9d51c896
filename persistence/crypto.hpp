// The little that persistence needs of libsodium.
#pragma once

#include <string>
#include <string_view>

#include "records/keys.hpp"

namespace signalbox::persistence {

std::string sha256_hex(std::string_view text);
std::string to_hex(const secret_digest& digest);
secret_digest digest_from_hex(const std::string& text);  // std::invalid_argument: it is none

}  // namespace signalbox::persistence
