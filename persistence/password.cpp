#include "persistence/password.hpp"

#include <sodium.h>

#include <array>
#include <new>
#include <stdexcept>

namespace signalbox::persistence {

namespace {

// OWASP's first choice for Argon2id.
constexpr unsigned long long passes = 2;
constexpr std::size_t memory_bytes = 19 * 1024 * 1024;

}  // namespace

std::string hash_password(const std::string& password) {
  if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialised");
  std::array<char, crypto_pwhash_argon2id_STRBYTES> text;
  if (crypto_pwhash_argon2id_str(text.data(), password.data(), password.size(), passes,
                                 memory_bytes) != 0) {
    throw std::bad_alloc();
  }
  return text.data();
}

bool fits_password(const std::string& hash, const std::string& password) {
  static const std::string nobodys = hash_password("");
  const auto& checked = hash.empty() ? nobodys : hash;
  const bool fits =
      crypto_pwhash_argon2id_str_verify(checked.c_str(), password.data(), password.size()) == 0;
  return fits && !hash.empty();
}

}  // namespace signalbox::persistence
