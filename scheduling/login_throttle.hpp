// Failed logins slow down: after a few, each one doubles the time until the next may be tried, by
// account and by client address alike. It remembers a bounded number of both.
#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>

#include "scheduling/types.hpp"

namespace signalbox::scheduling {

struct throttle_options {
  std::uint32_t free_failures = 5;  // before the first wait; 0: no limit of this kind
  duration first_wait = std::chrono::seconds(1);
  duration longest_wait = std::chrono::minutes(1);
  duration forget_after = std::chrono::minutes(15);  // without another failure
  std::size_t remembered = 10000;                    // names; the one that failed longest ago goes
};

// The failures of one kind of name.
class failure_memory {
 public:
  explicit failure_memory(const throttle_options& options) : options_(options) {}

  duration wait_of(const std::string& name, time_point now) const;  // zero: go on
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

class login_throttle {
 public:
  login_throttle(const throttle_options& by_account, const throttle_options& by_address)
      : accounts_(by_account), addresses_(by_address) {}

  // How long until this login may be tried; zero: now, and then failed() or succeeded() follows.
  duration wait_of(const std::string& account, const std::string& address, time_point now) const;
  void failed(const std::string& account, const std::string& address, time_point now);
  // The address keeps its failures: who has one account may still guess at others.
  void succeeded(const std::string& account) { accounts_.forget(account); }

 private:
  failure_memory accounts_, addresses_;
};

}  // namespace signalbox::scheduling
