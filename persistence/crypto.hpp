// The little that persistence needs of libsodium.
#pragma once

#include <string>
#include <string_view>

namespace signalbox::persistence {

std::string sha256_hex(std::string_view text);

}  // namespace signalbox::persistence
