// Slows down logins that fail. After a few failures each further one doubles the time until the
// next try is allowed, counted by account and by client address alike. Both memories are bounded.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

// The limits for one kind of name: accounts or addresses.
struct throttle_options {
  std::uint32_t free_failures = 5;  // failures before the first wait; 0: never wait
  duration first_wait = std::chrono::seconds(1);
  duration longest_wait = std::chrono::minutes(1);
  duration forget_after = std::chrono::minutes(15);  // since the last failure
  std::size_t remembered = 10000;  // names at most; the one that failed longest ago is dropped
};

// The recent failures of one kind of name.
class failure_memory {
 public:
  explicit failure_memory(const throttle_options& options) : options_(options) {}

  duration wait_of(const std::string& name, time_point now) const;  // zero: a try is allowed
  void failed(const std::string& name, time_point now);
  void forget(const std::string& name);
  std::size_t size() const { return entries_.size(); }

 private:
  struct entry {
    std::string name;
    std::uint32_t failures;
    time_point last;
  };
  using entries = std::list<entry>;  // by time of the last failure

  bool is_over(const entry& e, time_point now) const;
  duration wait_after(std::uint32_t failures) const;

  throttle_options options_;
  entries entries_;
  std::unordered_map<std::string, entries::iterator> by_name_;
};

// The failures of all accounts and addresses.
class login_throttle {
 public:
  login_throttle(const throttle_options& by_account, const throttle_options& by_address)
      : accounts_(by_account), addresses_(by_address) {}

  // The time until this login may be tried. When it is zero, the caller tries it and then calls
  // failed() or succeeded().
  duration wait_of(const std::string& account, const std::string& address, time_point now) const;
  void failed(const std::string& account, const std::string& address, time_point now);
  // The address keeps its failures, because the owner of one account may still guess at others.
  void succeeded(const std::string& account) { accounts_.forget(account); }

 private:
  failure_memory accounts_, addresses_;
};

}  // namespace signalbox::scheduling
