#include "persistence/crypto.hpp"

#include <sodium.h>

#include <array>
#include <stdexcept>

#include "persistence/stores.hpp"

namespace signalbox::persistence {

namespace {

void ensure_sodium() {
  static const int result = sodium_init();
  if (result < 0) throw std::runtime_error("libsodium cannot be initialised");
}

template <std::size_t Size>
std::string hex_of(const std::array<unsigned char, Size>& bytes) {
  std::array<char, 2 * Size + 1> text;
  return sodium_bin2hex(text.data(), text.size(), bytes.data(), Size);
}

}  // namespace

std::string sha256_hex(std::string_view text) {
  ensure_sodium();
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest;
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(text.data()),
                     text.size());
  return hex_of(digest);
}

std::string to_hex(const secret_digest& digest) {
  return hex_of(digest);
}

secret_digest digest_from_hex(const std::string& text) {
  secret_digest digest;
  std::size_t length = 0;
  if (sodium_hex2bin(digest.data(), digest.size(), text.data(), text.size(), nullptr, &length,
                     nullptr) != 0 ||
      length != digest.size()) {
    throw std::invalid_argument("not a digest in hexadecimal digits");
  }
  return digest;
}

std::string make_uuid() {
  ensure_sodium();
  std::array<unsigned char, 16> bytes;
  randombytes_buf(bytes.data(), bytes.size());
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);  // version 4
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);  // variant of RFC 4122
  std::string text = hex_of(bytes);
  for (const std::size_t at : {8, 13, 18, 23}) text.insert(at, 1, '-');
  return text;
}

}  // namespace signalbox::persistence
