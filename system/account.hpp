// A user account of this machine, under which a program can be started.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace signalbox {

struct account {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

// Both return nothing when the machine has no such user.
std::optional<account> find_account(const std::string& name);
std::optional<account> find_account(uid_t uid);

}  // namespace signalbox
