#include "actors/login_guard_actor.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include "actors/shell.hpp"
#include "persistence/password.hpp"
#include "scheduling/login_throttle.hpp"

namespace signalbox {
namespace {

constexpr int politeness = 10;  // nice; inference goes first

scheduling::throttle_options throttle_of(std::uint32_t free_failures) {
  scheduling::throttle_options options;
  options.free_failures = free_failures;
  return options;
}

// Handles logins one after another, so that all earlier failures count when it decides whether a
// login may be tried.
class login_guard : public login_guard_actor::base {
 public:
  login_guard(caf::actor_config& cfg, const config::security_options& security)
      : login_guard_actor::base(cfg),
        throttle_(throttle_of(security.login_failures),
                  throttle_of(security.login_failures_per_address)) {
    end_on_exception(this, "login_guard");
  }

  const char* name() const override { return "login_guard"; }

 protected:
  behavior_type make_behavior() override {
    return {[this](const check_password& m) { return on_check(m); }};
  }

 private:
  password_checked on_check(const check_password& m) {
    be_polite();
    const auto wait = throttle_.wait_of(m.user, m.address, clock().now());
    if (wait > duration::zero()) return {password_verdict::too_often, wait};
    const bool fits = persistence::fits_password(m.hash, m.password);
    if (fits) {
      throttle_.succeeded(m.user);
    } else {
      throttle_.failed(m.user, m.address, clock().now());
    }
    return {fits ? password_verdict::right : password_verdict::wrong, {}};
  }

  // On Linux the nice value belongs to the calling thread. It stays as it is if it cannot be set.
  void be_polite() {
    if (std::exchange(is_polite_, true)) return;
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), politeness);
  }

  scheduling::login_throttle throttle_;
  bool is_polite_ = false;
};

}  // namespace

login_guard_actor spawn_login_guard(caf::actor_system& system, const config::settings& settings) {
  return system.spawn<login_guard, caf::detached>(settings.security);
}

}  // namespace signalbox
