#include "http/admin_key.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>

namespace signalbox::http {

namespace {

std::string to_hex(const token_digest& digest) {
  std::string text(digest.size() * 2 + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
  text.pop_back();
  return text;
}

std::optional<token_digest> from_hex(const std::string& text) {
  token_digest digest;
  std::size_t length = 0;
  if (sodium_hex2bin(digest.data(), digest.size(), text.data(), text.size(), "\n", &length,
                     nullptr) != 0 ||
      length != digest.size()) {
    return std::nullopt;
  }
  return digest;
}

std::string make_token() {
  std::array<unsigned char, 24> bytes;
  randombytes_buf(bytes.data(), bytes.size());
  constexpr int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  std::string text(sodium_base64_encoded_len(bytes.size(), variant), '\0');
  sodium_bin2base64(text.data(), text.size(), bytes.data(), bytes.size(), variant);
  text.resize(std::strlen(text.c_str()));
  return "sbk_" + text;
}

void write_private(const std::filesystem::path& path, const std::string& text) {
  const auto part = path.string() + ".part";
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  const bool written = fd >= 0 &&
                       ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (!written || ::rename(part.c_str(), path.c_str()) != 0) {
    throw std::runtime_error("cannot write " + path.string() + ": " +
                             std::strerror(written ? errno : error));
  }
}

}  // namespace

admin_key load_or_make_admin_key(const std::filesystem::path& data_dir) {
  const auto path = data_dir / "admin-key.digest";
  admin_key key{{"admin", {}, {"admin"}}, std::nullopt};
  if (std::filesystem::exists(path)) {
    std::ifstream file(path);
    std::string text;
    std::getline(file, text);
    const auto digest = from_hex(text);
    if (!digest) {
      throw std::runtime_error(path.string() +
                               " does not hold a key's digest; delete it to have a new key made");
    }
    key.entry.digest = *digest;
    return key;
  }
  if (sodium_init() < 0) throw std::runtime_error("libsodium cannot be initialized");
  key.token = make_token();
  key.entry.digest = digest_of(*key.token);
  write_private(path, to_hex(key.entry.digest) + "\n");
  return key;
}

}  // namespace signalbox::http
