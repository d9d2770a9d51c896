#include "commands/keys.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

#include "access/authentication.hpp"
#include "access/key_document.hpp"
#include "commands/storage.hpp"
#include "commands/subcommands.hpp"
#include "persistence/key_store.hpp"

namespace signalbox::commands {

namespace {

using nlohmann::json;

constexpr std::uint32_t page = 1000;
// The same bounds as for keys of the configuration.
constexpr std::size_t min_token_bytes = 16, max_token_bytes = 512;

struct options {
  json fields = json::object();  // of the new key, in the form of /v1/keys
  json limits = json::object();
  std::string id, file;
  std::optional<double> grace_s;
  bool as_json = false;
};

void set_fields(const json& fields, key_record& key) {
  const auto problem = apply_fields(fields, std::chrono::system_clock::now(), key);
  if (problem) throw std::runtime_error(problem->message);
}

void new_secret(const std::string& token, key_record& key) {
  key.digest = digest_of(token);
  key.hint = hint_of(token);
}

int create(persistence::key_store& store, options& o) {
  if (!o.limits.empty()) o.fields["limits"] = o.limits;
  key_record key;
  key.id = make_key_id();
  key.scopes = {"realtime"};
  set_fields(o.fields, key);
  const auto token = make_token();
  new_secret(token, key);
  if (!store.add({key})) throw std::runtime_error("a key with this id or secret already exists");
  std::cout << "id: " << key.id << "\nsecret (shown once): " << token << std::endl;
  return 0;
}

std::string state_of(const key_record& key) {
  const auto now = std::chrono::system_clock::now();
  if (key.revoked_at) return "revoked";
  return key.expires_at && *key.expires_at <= now ? "expired" : "valid";
}

void print(const key_record& key) {
  const auto limit = [](double value) { return value > 0 ? fmt::format("{}", value) : "-"; };
  std::string scopes;
  for (const auto& scope : key.scopes) scopes += (scopes.empty() ? "" : ",") + scope;
  std::cout << fmt::format("{:<22} {:<10} {:<8} {:>8} {:>10}  {:<30} {}\n", key.id, key.hint,
                           state_of(key), limit(key.limits.requests_per_minute),
                           limit(key.limits.tokens_per_minute), scopes, key.name);
}

int list(persistence::key_store& store, const options& o) {
  json all = json::array();
  if (!o.as_json) {
    std::cout << fmt::format("{:<22} {:<10} {:<8} {:>8} {:>10}  {:<30} {}\n", "ID", "SECRET",
                             "STATE", "REQ/MIN", "TOKENS/MIN", "SCOPES", "NAME");
  }
  std::string after;
  while (true) {
    const auto keys = store.newest(page, after);
    for (const auto& key : keys) {
      if (o.as_json) {
        all.push_back(to_document(key));
      } else {
        print(key);
      }
    }
    if (keys.size() < page) break;
    after = keys.back().id;
  }
  if (o.as_json) std::cout << all.dump(2) << std::endl;
  return 0;
}

std::runtime_error no_such_key(const std::string& id) {
  return std::runtime_error("the database has no key " + id +
                            "; 'signalbox keys list' lists its keys, and keys of the configuration "
                            "are changed there");
}

int rotate(persistence::key_store& store, const options& o, double default_grace_s) {
  const auto token = make_token();
  const auto grace_s = o.grace_s.value_or(default_grace_s);
  if (!store.rotate({o.id, digest_of(token), hint_of(token), grace_s})) {
    throw no_such_key(o.id + " that is not revoked");
  }
  std::cout << fmt::format("id: {}\nsecret (shown once): {}\nthe old one works for {} s more\n",
                           o.id, token, grace_s);
  return 0;
}

int revoke(persistence::key_store& store, const options& o) {
  if (!store.revoke(o.id)) throw no_such_key(o.id);
  std::cout << o.id << " is revoked" << std::endl;
  return 0;
}

struct imported_key {
  std::string where, id, token;
  json fields;  // its other fields
};

// Reads one entry of seed 002's file {"keys": [{"id", "token", "scopes"}]}; an entry may also have
// our own fields.
imported_key read_entry(const json& entry, std::size_t index) {
  const auto where = fmt::format("keys[{}]", index);
  const auto text = [&](const char* field) {
    if (!entry.is_object() || !entry.contains(field) || !entry[field].is_string()) {
      throw std::runtime_error(fmt::format("{}: \"{}\" must be a text", where, field));
    }
    return entry[field].get<std::string>();
  };
  imported_key key{where, text("id"), text("token"), entry};
  if (key.id.empty() || key.id.size() > 200) {
    throw std::runtime_error(
        fmt::format("{}.id: found {} bytes, allowed 1 to 200", where, key.id.size()));
  }
  if (key.id.starts_with(config::user_id_prefix)) {
    throw std::runtime_error(
        fmt::format("{}.id: must not begin with {}, which is reserved for users", where,
                    config::user_id_prefix));
  }
  if (key.token.size() < min_token_bytes || key.token.size() > max_token_bytes) {
    throw std::runtime_error(fmt::format("{}.token: found {} bytes, allowed {} to {}", where,
                                         key.token.size(), min_token_bytes, max_token_bytes));
  }
  key.fields.erase("id");
  key.fields.erase("token");
  return key;
}

std::vector<imported_key> read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  const auto document = json::parse(file, nullptr, false);
  if (!document.is_object() || !document.contains("keys") || !document["keys"].is_array()) {
    throw std::runtime_error(path + R"( is not {"keys": [{"id", "token", "scopes"}, …]})");
  }
  std::vector<imported_key> keys;
  for (const auto& entry : document["keys"]) keys.push_back(read_entry(entry, keys.size()));
  return keys;
}

// Returns the key as the entry describes it. Fields that the entry does not name keep their value
// in a key that exists.
key_record with_entry(const imported_key& entry, const key_record* known) {
  key_record key;
  key.id = key.name = entry.id;
  if (known) key = *known;
  if (key.revoked_at) {
    throw std::runtime_error(entry.where + ".id: " + key.id +
                             " is revoked for good; give the new key another id");
  }
  try {
    set_fields(entry.fields, key);
  } catch (const std::runtime_error& e) {
    throw std::runtime_error(entry.where + ": " + e.what());
  }
  if (key.scopes.empty()) throw std::runtime_error(entry.where + ".scopes: must not be empty");
  new_secret(entry.token, key);
  return key;
}

std::map<std::string, key_record> known_keys(persistence::key_store& store,
                                             const std::vector<imported_key>& entries) {
  std::map<std::string, key_record> known;
  std::vector<std::string> ids;
  for (const auto& entry : entries) {
    ids.push_back(entry.id);
    if (ids.size() < page && &entry != &entries.back()) continue;
    for (auto& key : store.find_all(ids)) known.emplace(key.id, std::move(key));
    ids.clear();
  }
  return known;
}

// Adds new keys and updates existing ones; another secret is a rotation. Changes nothing when any
// entry is wrong.
int import(persistence::key_store& store, const options& o, const config::settings& settings) {
  const double default_grace_s = settings.security.rotation_grace_s;
  std::vector<key_record> added, changed;
  std::set<std::string> ids, rotated;
  const auto entries = read_file(o.file);
  const auto known_by_id = known_keys(store, entries);
  for (const auto& entry : entries) {
    if (!ids.insert(entry.id).second) {
      throw std::runtime_error(entry.where + ".id: found a second time, allowed once");
    }
    if (std::any_of(settings.keys.begin(), settings.keys.end(),
                    [&](const auto& key) { return key.id == entry.id; })) {
      throw std::runtime_error(
          fmt::format("{}.id: \"{}\" is defined in the configuration, which takes precedence",
                      entry.where, entry.id));
    }
    const auto known = known_by_id.find(entry.id);
    const auto* before = known == known_by_id.end() ? nullptr : &known->second;
    auto key = with_entry(entry, before);
    if (!before) {
      added.push_back(std::move(key));
      continue;
    }
    const bool has_new_secret = before->digest != key.digest;
    if (has_new_secret) rotated.insert(key.id);
    if (has_new_secret || to_document(*before) != to_document(key)) {
      changed.push_back(std::move(key));
    }
  }
  if (!store.add(added)) {
    throw std::runtime_error(
        "no key was added or changed: two of the new keys share a secret, or one has the secret of "
        "an existing key");
  }
  for (const auto& key : changed) {
    store.update(key);
    if (rotated.contains(key.id)) {
      store.rotate({key.id, key.digest, key.hint, o.grace_s.value_or(default_grace_s)});
    }
  }
  std::cout << fmt::format("{} added, {} updated", added.size(), changed.size()) << std::endl;
  return 0;
}

// Declares an option that becomes a field of the key.
template <typename Value>
void field(CLI::App* command, json& into, const std::string& option, const std::string& name,
           const std::string& help) {
  command->add_option_function<Value>(
      option, [&into, name](const Value& value) { into[name] = value; }, help);
}

void add_create(CLI::App* command, options& o) {
  field<std::string>(command, o.fields, "--name", "name", "What the key is for");
  field<std::string>(command, o.fields, "--owner", "owner", "Who owns the key");
  field<std::vector<std::string>>(
      command, o.fields, "--scope", "scopes",
      "realtime (the default), batch, eval, upload, monitor, admin; may be repeated");
  field<std::vector<std::string>>(command, o.fields, "--model", "models",
                                  "A model that the key may use; may be repeated; default: all");
  field<double>(command, o.fields, "--weight", "weight", "Fair share; default: 1");
  field<double>(command, o.fields, "--expires-in", "expires_in_s",
                "Seconds until the key expires; default: never");
  field<double>(command, o.limits, "--requests-per-minute", "requests_per_minute",
                "Requests a minute; default, as for all limits: none");
  field<double>(command, o.limits, "--burst", "burst",
                "Requests at once after a pause; default: 10");
  field<double>(command, o.limits, "--tokens-per-minute", "tokens_per_minute",
                "Tokens of prompts and answers a minute");
  field<double>(command, o.limits, "--max-concurrent", "max_concurrent", "Requests at once");
  field<double>(command, o.limits, "--tokens-per-day", "tokens_per_day", "Tokens a day (UTC)");
}

}  // namespace

std::function<std::optional<int>()> add_keys(CLI::App& app,
                                             std::function<config::settings()> load) {
  auto* keys = app.add_subcommand("keys", "Make, list, rotate, revoke and import API keys");
  require_subcommand(*keys);
  auto o = std::make_shared<options>();
  auto* create_command = keys->add_subcommand("create", "Make a key; its secret is printed once");
  add_create(create_command, *o);
  auto* list_command =
      keys->add_subcommand("list", "List all keys, newest first, including revoked ones");
  list_command->add_flag("--json", o->as_json, "As JSON");
  auto* rotate_command = keys->add_subcommand(
      "rotate", "Give a key a new secret; the old one works for the grace period");
  rotate_command->add_option("id", o->id, "The key")->required();
  auto* revoke_command = keys->add_subcommand("revoke", "Revoke a key for good");
  revoke_command->add_option("id", o->id, "The key")->required();
  auto* import_command = keys->add_subcommand(
      "import", R"(Import the keys of a JSON file: {"keys": [{"id", "token", "scopes", …}]})");
  import_command->add_option("file", o->file, "The file")->required();
  for (auto* command : {rotate_command, import_command}) {
    command->add_option("--grace", o->grace_s, "Seconds; default: security.rotation_grace_s")
        ->check(CLI::Range(0.0, 30 * 86400.0));
  }
  // Passes on --config and --data.
  for (auto* command : keys->get_subcommands({})) command->fallthrough();
  return [=, load = std::move(load)]() -> std::optional<int> {
    if (!keys->parsed()) return std::nullopt;
    const auto settings = load();
    shared_storage storage(settings);
    persistence::key_store store(storage.db());
    const double grace_s = settings.security.rotation_grace_s;
    if (create_command->parsed()) return create(store, *o);
    if (list_command->parsed()) return list(store, *o);
    if (rotate_command->parsed()) return rotate(store, *o, grace_s);
    if (revoke_command->parsed()) return revoke(store, *o);
    return import(store, *o, settings);
  };
}

}  // namespace signalbox::commands
