#include "access/admin_key.hpp"

#include <sodium.h>

#include <fstream>
#include <stdexcept>

#include "system/private_file.hpp"

namespace signalbox {

namespace {

std::string to_hex(const secret_digest& digest) {
  std::string text(digest.size() * 2 + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), digest.data(), digest.size());
  text.pop_back();
  return text;
}

std::optional<secret_digest> from_hex(const std::string& text) {
  secret_digest digest;
  std::size_t length = 0;
  if (sodium_hex2bin(digest.data(), digest.size(), text.data(), text.size(), "\n", &length,
                     nullptr) != 0 ||
      length != digest.size()) {
    return std::nullopt;
  }
  return digest;
}

}  // namespace

admin_key load_or_make_admin_key(const std::filesystem::path& data_dir) {
  const auto path = data_dir / "admin-key.digest";
  admin_key key;
  key.record.id = key.record.name = "admin";
  key.record.scopes = {"admin"};
  if (std::filesystem::exists(path)) {
    std::ifstream file(path);
    std::string text;
    std::getline(file, text);
    const auto digest = from_hex(text);
    if (!digest) {
      throw std::runtime_error(path.string() +
                               " does not hold a key's digest; delete it to have a new key made");
    }
    key.record.digest = *digest;
    return key;
  }
  key.token = make_token();
  key.record.digest = digest_of(*key.token);
  write_private_file(path, to_hex(key.record.digest) + "\n");
  return key;
}

}  // namespace signalbox
