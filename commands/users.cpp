#include "commands/users.hpp"

#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "access/authentication.hpp"
#include "commands/storage.hpp"
#include "commands/subcommands.hpp"
#include "config/values.hpp"
#include "persistence/password.hpp"
#include "persistence/user_store.hpp"
#include "text/rfc3339.hpp"

namespace signalbox::commands {

namespace {

constexpr std::uint32_t users_page = 1000;
constexpr std::size_t max_user_name_bytes = 200, min_safe_password_bytes = 8;

struct user_options {
  std::string name;
  std::vector<std::string> scopes;
  bool as_json = false;
};

// Hides what is typed at the terminal until it is destroyed.
class hidden_input {
 public:
  hidden_input() {
    if (tcgetattr(STDIN_FILENO, &before_) != 0) return;
    auto silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    is_set_ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
  }
  ~hidden_input() {
    if (is_set_) tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }
  hidden_input(const hidden_input&) = delete;
  hidden_input& operator=(const hidden_input&) = delete;

 private:
  termios before_{};
  bool is_set_ = false;
};

std::string read_line(const std::string& prompt) {
  std::string text;
  std::cerr << prompt;
  const bool read = static_cast<bool>(std::getline(std::cin, text));
  if (!prompt.empty()) std::cerr << std::endl;
  if (!read) throw std::runtime_error("found no password on the standard input");
  return text;
}

// Reads the password from the terminal, twice and without echo, or else from the first line of
// standard input.
std::string read_password() {
  std::string password;
  if (isatty(STDIN_FILENO) != 0) {
    const hidden_input hidden;
    password = read_line("Password: ");
    if (read_line("Once more: ") != password) throw std::runtime_error("the two passwords differ");
  } else {
    password = read_line("");
  }
  if (password.empty() || password.size() > persistence::max_password_bytes) {
    throw std::runtime_error(fmt::format("the password has {} bytes, allowed 1 to {}",
                                         password.size(), persistence::max_password_bytes));
  }
  if (password.size() < min_safe_password_bytes) {
    std::cerr << "warning: a password of fewer than 8 bytes is easy to guess" << std::endl;
  }
  return password;
}

void check_name(const std::string& name) {
  if (name.empty() || name.size() > max_user_name_bytes || !config::is_plain_text(name)) {
    throw std::runtime_error(
        "a user's name has 1 to 200 bytes of UTF-8 without control characters");
  }
}

void check_scopes(const std::vector<std::string>& scopes) {
  for (const auto& name : scopes) {
    if (!parse_scope(name)) {
      throw std::runtime_error("there is no scope '" + name + "', allowed: " + scope_list);
    }
  }
}

void require_user(bool is_known, const std::string& name) {
  if (!is_known) throw std::runtime_error("there is no user " + name);
}

int add(persistence::user_store& store, const user_options& o) {
  check_name(o.name);
  check_scopes(o.scopes);
  user_record user;
  user.name = o.name;
  user.scopes = o.scopes.empty() ? std::vector<std::string>{"realtime"} : o.scopes;
  user.password_hash = persistence::hash_password(read_password());
  if (!store.add(user)) throw std::runtime_error("there is already a user " + o.name);
  std::cout << "added " << o.name << std::endl;
  return 0;
}

int set_password(persistence::user_store& store, const user_options& o) {
  require_user(store.find(o.name).has_value(), o.name);
  require_user(store.set_password(o.name, persistence::hash_password(read_password())), o.name);
  std::cout << o.name << " has a new password, all earlier tokens are void" << std::endl;
  return 0;
}

int set_scopes(persistence::user_store& store, const user_options& o) {
  check_scopes(o.scopes);
  require_user(store.set_scopes(o.name, o.scopes), o.name);
  std::cout << o.name << " has " << fmt::format("{}", fmt::join(o.scopes, ",")) << std::endl;
  return 0;
}

int list(persistence::user_store& store, const user_options& o) {
  std::map<std::string, user_record> users;
  std::int64_t version = 0;
  for (bool is_last = false; !is_last;) {
    const auto some = store.changed_since(version, users_page);
    for (const auto& user : some) users[user.name] = user;
    is_last = some.size() < users_page;
    if (!some.empty()) version = some.back().version;
  }
  if (o.as_json) {
    auto all = nlohmann::json::array();
    for (const auto& [name, user] : users) {
      all.push_back({{"name", name},
                     {"scopes", user.scopes},
                     {"disabled", user.disabled},
                     {"created_at", rfc3339(user.created_at)}});
    }
    std::cout << all.dump(2) << std::endl;
    return 0;
  }
  std::cout << fmt::format("{:<24} {:<9} {:<28} {}\n", "NAME", "STATE", "CREATED", "SCOPES");
  for (const auto& [name, user] : users) {
    std::cout << fmt::format("{:<24} {:<9} {:<28} {}\n", name, user.disabled ? "disabled" : "valid",
                             rfc3339(user.created_at), fmt::join(user.scopes, ","));
  }
  return 0;
}

}  // namespace

std::function<std::optional<int>()> add_users(CLI::App& app,
                                              std::function<config::settings()> load) {
  using action = std::function<int(persistence::user_store&)>;
  auto* users = app.add_subcommand("users", "Make, list and disable users, who log in by password");
  require_subcommand(*users);
  auto o = std::make_shared<user_options>();
  auto chosen = std::make_shared<action>();
  const auto subcommand = [&](const char* name, const char* help, bool of_one, action run) {
    auto* command = users->add_subcommand(name, help);
    if (of_one) command->add_option("name", o->name, "The user")->required();
    command->callback([chosen, run = std::move(run)] { *chosen = run; });
    command->fallthrough();  // passes on --config and --data
    return command;
  };
  const auto scopes_help = std::string(scope_list) + "; may be repeated";
  subcommand("add", "Add a user; the password comes from the terminal or the standard input", true,
             [o](auto& store) { return add(store, *o); })
      ->add_option("--scope", o->scopes, scopes_help);
  subcommand("passwd", "Set a new password; all earlier tokens become void", true,
             [o](auto& store) { return set_password(store, *o); });
  subcommand("scopes", "Replace the scopes, effective at once", true,
             [o](auto& store) { return set_scopes(store, *o); })
      ->add_option("--scope", o->scopes, scopes_help)
      ->required();
  subcommand("disable", "Disable a user; all tokens become void", true, [o](auto& store) {
    require_user(store.disable(o->name), o->name);
    std::cout << o->name << " is disabled" << std::endl;
    return 0;
  });
  subcommand("enable", "Enable a disabled user; earlier tokens stay void", true, [o](auto& store) {
    require_user(store.enable(o->name), o->name);
    std::cout << o->name << " is enabled" << std::endl;
    return 0;
  });
  subcommand("list", "List all users, including disabled ones", false, [o](auto& store) {
    return list(store, *o);
  })->add_flag("--json", o->as_json, "As JSON");
  return [=, load = std::move(load)]() -> std::optional<int> {
    if (!*chosen) return std::nullopt;
    shared_storage storage(load());
    persistence::user_store store(storage.db());
    return (*chosen)(store);
  };
}

}  // namespace signalbox::commands
