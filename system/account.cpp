#include "system/account.hpp"

#include <grp.h>
#include <pwd.h>

#include <array>

namespace signalbox {
namespace {

std::optional<account> account_of(const passwd* entry) {
  if (!entry) return std::nullopt;
  account found{entry->pw_name, entry->pw_uid, entry->pw_gid, std::vector<gid_t>(64)};
  int count = static_cast<int>(found.groups.size());
  if (getgrouplist(entry->pw_name, entry->pw_gid, found.groups.data(), &count) < 0) count = 0;
  found.groups.resize(static_cast<std::size_t>(count));
  return found;
}

}  // namespace

std::optional<account> find_account(const std::string& name) {
  std::array<char, 16384> buffer;
  passwd entry;
  passwd* found = nullptr;
  getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  return account_of(found);
}

std::optional<account> find_account(uid_t uid) {
  std::array<char, 16384> buffer;
  passwd entry;
  passwd* found = nullptr;
  getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return account_of(found);
}

}  // namespace signalbox
