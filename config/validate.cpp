#include "config/validate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "config/address.hpp"
#include "config/load.hpp"
#include "config/network.hpp"
#include "config/path_segments.hpp"
#include "config/placement.hpp"
#include "config/schema.hpp"
#include "config/validate_training.hpp"
#include "config/values.hpp"

namespace signalbox::config {
namespace {

// Checks the bounds of settings that did not come through the reader or were changed since. For all
// others it finds nothing new.
void check_bounds(const settings& s, problem_list& problems) {
  for (const section& list : sections()) {
    if (list.is_list() && list.size(s) > list.max_elements) {
      problems.unrelated(
          list.path.substr(0, list.path.size() - 2),
          fmt::format("found {} entries, allowed up to {}", list.size(s), list.max_elements));
    }
  }
  for (const option& o : options()) {
    const section* list = list_of(o);
    for (std::size_t i = 0, n = list != nullptr ? list->size(s) : 1; i < n; ++i) {
      value v = o.get(s, i);
      auto* text = std::get_if<std::string>(&v);
      bool not_given = !o.required && list != nullptr && text != nullptr && text->empty();
      if (not_given) continue;
      if (auto bad = out_of_bounds(o, v)) problems.unrelated(element_path(o, i), *bad);
    }
  }
}

void check_listen(const server_options& server, problem_list& problems) {
  std::set<std::pair<std::string, std::uint16_t>> seen;
  for (std::size_t i = 0; i < server.listen.size(); ++i) {
    std::string path = fmt::format("server.listen[{}]", i);
    auto parsed = parse_listen(server.listen[i]);
    if (!parsed) {
      problems.unrelated(path, fmt::format("found {}, allowed ADDRESS:PORT with an IPv4 address, "
                                           "an [IPv6] address or localhost, and a port from 0 to "
                                           "65535; with https:// before it for TLS",
                                           in_quotes(server.listen[i])));
    } else if (parsed->port != 0 && !seen.insert({parsed->host, parsed->port}).second) {
      problems.unrelated(path, fmt::format("found {} a second time", in_quotes(server.listen[i])));
    } else if (parsed->is_tls && server.tls.certificate.empty()) {
      problems.unrelated(path, fmt::format("found {}, which needs server.tls.certificate",
                                           in_quotes(server.listen[i])));
    }
  }
}

void check_proxies(const server_options& server, problem_list& problems) {
  for (std::size_t i = 0; i < server.trusted_proxies.size(); ++i) {
    const std::string& text = server.trusted_proxies[i];
    if (network::parse(text)) continue;
    problems.unrelated(fmt::format("server.trusted_proxies[{}]", i),
                       fmt::format("found {}, allowed an IP address, or a network such as "
                                   "10.0.0.0/8 or fd00::/8 without bits behind the prefix",
                                   in_quotes(text)));
  }
}

void check_server(const server_options& server, problem_list& problems) {
  check_listen(server, problems);
  check_proxies(server, problems);
  if (server.tls.certificate.empty() != server.tls.private_key.empty()) {
    const bool has_key = server.tls.certificate.empty();
    problems.unrelated(has_key ? "server.tls.private_key" : "server.tls.certificate",
                       fmt::format("found without {}, allowed both or none",
                                   has_key ? "certificate" : "private_key"));
  }
  if (server.body_memory != 0 && server.body_memory < server.body_limit) {
    problems.unrelated(
        "server.body_memory",
        fmt::format("found {}, allowed 0, or at least body_limit ({})",
                    format_size(server.body_memory), format_size(server.body_limit)));
  }
  if (server.header_limit > server.body_limit) {
    problems.unrelated("server.header_limit", fmt::format("found {}, allowed up to body_limit ({})",
                                                          format_size(server.header_limit),
                                                          format_size(server.body_limit)));
  }
}

bool is_tls(const std::string& listen) {
  const auto parsed = parse_listen(listen);
  return parsed && parsed->is_tls;
}

bool is_visible_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

void check_keys(const std::vector<key_options>& keys, problem_list& problems) {
  std::map<std::string, std::size_t> ids, tokens;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const key_options& key = keys[i];
    std::string path = fmt::format("keys[{}]", i);
    if (key.id == local_key_id) {
      problems.unrelated(path + ".id",
                         fmt::format("found {}, which is reserved for commands on this machine",
                                     in_quotes(key.id)));
    }
    if (key.id.starts_with(user_id_prefix)) {
      problems.unrelated(path + ".id", fmt::format("found {}, but {} is reserved for ids of users",
                                                   in_quotes(key.id), in_quotes(user_id_prefix)));
    }
    if (!key.id.empty() && !ids.emplace(key.id, i).second) {
      problems.unrelated(path + ".id", fmt::format("found {}, which keys[{}] has already",
                                                   in_quotes(key.id), ids[key.id]));
    }
    if (key.token.empty() == key.token_env.empty()) {
      problems.unrelated(path, key.token.empty()
                                   ? "found neither token nor token_env, allowed one of them"
                                   : "found both token and token_env, allowed one of them");
    } else if (!is_visible_ascii(key.token)) {
      problems.unrelated(path + ".token",
                         "found a blank, a control character or a character "
                         "beyond ASCII, allowed visible ASCII");
    } else if (!key.token.empty() && !tokens.emplace(key.token, i).second) {
      problems.unrelated(path + ".token", fmt::format("found the token that keys[{}] has already",
                                                      tokens[key.token]));
    }
    std::set<std::string> scopes(key.scopes.begin(), key.scopes.end());
    if (scopes.size() != key.scopes.size()) {
      problems.unrelated(path + ".scopes", "found a scope twice, allowed once");
    }
  }
}

// Recognizes an origin as browsers send it (RFC 6454 6.2): lower case, no path.
bool is_origin(std::string_view text) {
  if (text == "*") return true;
  const auto scheme = text.find("://");
  if (scheme == text.npos) return false;
  const auto host = text.substr(scheme + 3);
  return scheme > 0 && !host.empty() &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return c > 0x20 && c < 0x7f && !(c >= 'A' && c <= 'Z'); }) &&
         host.find_first_of("/?#@*") == host.npos;
}

void check_cors(const cors_options& cors, problem_list& problems) {
  for (std::size_t i = 0; i < cors.allowed_origins.size(); ++i) {
    if (is_origin(cors.allowed_origins[i])) continue;
    problems.unrelated(fmt::format("cors.allowed_origins[{}]", i),
                       fmt::format("found {}, allowed * or scheme://host[:port] in lower case, "
                                   "without a path",
                                   in_quotes(cors.allowed_origins[i])));
  }
}

// Names appear in URLs, headers, metrics and logs.
void check_model_name(const std::string& name, const std::string& path,
                      std::map<std::string, std::string>& seen, problem_list& problems) {
  constexpr std::size_t max_bytes = 200;
  if (name.empty() || name.size() > max_bytes || name.front() == ' ' || name.back() == ' ' ||
      !is_plain_text(name)) {
    problems.unrelated(path, fmt::format("found {}, allowed UTF-8 of 1 to {} bytes without blanks "
                                         "around it",
                                         in_quotes(name), max_bytes));
    return;
  }
  auto [first, is_new] = seen.emplace(name, path);
  if (!is_new) {
    problems.unrelated(path,
                       fmt::format("found {}, which {} is already", in_quotes(name), first->second),
                       {first->second});
  }
}

void check_process_model(const model_options& m, const std::string& path, problem_list& problems) {
  if (m.command.empty() || m.command.front().empty()) {
    problems.unrelated(path, "found no command, which driver process needs");
  } else {
    auto mentions_port = [](const std::string& text) {
      return text.find("{port}") != std::string::npos;
    };
    if (std::none_of(m.command.begin(), m.command.end(), mentions_port)) {
      problems.unrelated(path + ".command",
                         "found no {port}, without which the runtime cannot know where to serve");
    }
  }
  if (!m.endpoint.empty()) {
    problems.unrelated(path + ".endpoint", "allowed with driver external only");
  }
  for (std::size_t i = 0; i < m.environment.size(); ++i) {
    auto equals = m.environment[i].find('=');
    if (equals == std::string::npos || equals == 0) {
      problems.unrelated(fmt::format("{}.environment[{}]", path, i),
                         "found an entry without a name and =, allowed NAME=VALUE");
    }
  }
}

void check_external_model(const model_options& m, const std::string& path, problem_list& problems) {
  if (m.endpoint.empty()) {
    problems.unrelated(path, "found no endpoint, which driver external needs");
  } else if (!parse_endpoint(m.endpoint)) {
    problems.unrelated(path + ".endpoint",
                       fmt::format("found {}, allowed http://HOST:PORT or https://HOST[:PORT], "
                                   "with or without a path",
                                   in_quotes(m.endpoint)));
  }
  auto only_process = [&](bool given, const char* key) {
    if (given) problems.unrelated(path + key, "allowed with driver process only");
  };
  only_process(!m.command.empty(), ".command");
  only_process(!m.environment.empty(), ".environment");
  // We cannot stop such a runtime, so it cannot take part in swaps.
  only_process(m.gpu_memory != 0, ".gpu.memory");
  only_process(m.residency != residency::on_demand, ".residency");
}

void check_times(const model_options& m, const std::string& path, problem_list& problems) {
  auto at_most = [&](double found, const char* key, double limit, const char* limit_key) {
    if (found <= limit) return;
    problems.unrelated(fmt::format("{}.{}", path, key),
                       fmt::format("found {}, allowed up to {} ({})", found, limit_key, limit));
  };
  at_most(m.first_byte_timeout_s, "first_byte_timeout_s", m.request_timeout_s, "request_timeout_s");
  at_most(m.stream_idle_timeout_s, "stream_idle_timeout_s", m.request_timeout_s,
          "request_timeout_s");
  at_most(m.expected_load_s, "expected_load_s", m.start_timeout_s, "start_timeout_s");
}

// Both go into requests or files as they are. The key itself is never shown.
void check_connection(const model_options& m, const std::string& path, problem_list& problems) {
  constexpr std::size_t max_key_bytes = 4096;
  if (!is_visible_ascii(m.api_key) || m.api_key.size() > max_key_bytes) {
    problems.unrelated(path + ".api_key_env",
                       fmt::format("found a variable with {} bytes, allowed up to {} of visible "
                                   "ASCII",
                                   m.api_key.size(), max_key_bytes));
  }
  const auto endpoint = parse_endpoint(m.endpoint);
  if (!m.tls_ca.empty() && (!endpoint || !endpoint->is_tls)) {
    problems.unrelated(path + ".tls_ca", "allowed with an https:// endpoint only");
  }
}

// A path as it is when it is decoded, or all below one.
bool is_path_pattern(std::string_view text) {
  if (!text.starts_with('/') || !is_visible_ascii(text)) return false;
  if (text.ends_with("/*")) text.remove_suffix(1);
  return text.find_first_of("*%?#\\;") == text.npos && !has_odd_segment(text);
}

void check_upstream_paths(const model_options& m, const std::string& path, problem_list& problems) {
  for (std::size_t i = 0; i < m.upstream_paths.size(); ++i) {
    if (is_path_pattern(m.upstream_paths[i])) continue;
    problems.unrelated(fmt::format("{}.upstream_paths[{}]", path, i),
                       fmt::format("found {}, allowed a path that begins with / and may end in /*, "
                                   "of visible ASCII without %?#;\\, empty segments and dots",
                                   in_quotes(m.upstream_paths[i])));
  }
}

void check_models(const settings& s, problem_list& problems) {
  if (s.models.empty()) problems.unrelated("models", "found none, allowed at least one");
  std::map<std::string, std::string> names;  // name to the path of its first use
  for (std::size_t i = 0; i < s.models.size(); ++i) {
    const model_options& m = s.models[i];
    std::string path = fmt::format("models[{}]", i);
    if (!m.name.empty()) check_model_name(m.name, path + ".name", names, problems);
    for (std::size_t k = 0; k < m.aliases.size(); ++k) {
      check_model_name(m.aliases[k], fmt::format("{}.aliases[{}]", path, k), names, problems);
    }
    if (m.driver == driver_kind::process)
      check_process_model(m, path, problems);
    else
      check_external_model(m, path, problems);
    if (!m.health_path.starts_with('/') || !is_visible_ascii(m.health_path)) {
      problems.unrelated(path + ".health_path",
                         fmt::format("found {}, allowed a path that begins with / and has no "
                                     "blanks",
                                     in_quotes(m.health_path)));
    }
    check_upstream_paths(m, path, problems);
    check_connection(m, path, problems);
    check_times(m, path, problems);
  }
}

void check_scheduling(const scheduling_options& o, problem_list& problems) {
  if (o.load_backoff_s > o.load_backoff_max_s) {
    problems.unrelated("scheduling.load_backoff_s",
                       fmt::format("found {}, allowed up to load_backoff_max_s ({})",
                                   o.load_backoff_s, o.load_backoff_max_s));
  }
  if (o.min_residency_s > o.max_swap_wait_s) {
    problems.unrelated("scheduling.min_residency_s",
                       fmt::format("found {}, allowed up to max_swap_wait_s ({})",
                                   o.min_residency_s, o.max_swap_wait_s));
  }
}

void check_database(const database_options& o, problem_list& problems) {
  // libpqxx also takes "host=… dbname=…".
  if (o.url.empty() || o.url.starts_with("postgresql://") || o.url.starts_with("postgres://") ||
      o.url.find('=') != std::string::npos) {
    return;
  }
  problems.unrelated("database.url",
                     "found another form, allowed postgresql://USER:PASSWORD@HOST:PORT/DATABASE");
}

void check_security(const security_options& o, problem_list& problems) {
  constexpr std::size_t min_bytes = 32;  // as long as the digest that the secret keys
  const auto check_secret = [&](const char* path, const std::string& secret) {
    if (secret.empty() || secret.size() >= min_bytes) return;
    problems.unrelated(
        path, fmt::format("found {} bytes, allowed at least {}", secret.size(), min_bytes));
  };
  check_secret("security.jwt_secret", o.jwt_secret);
  check_secret("security.jwt_secret_previous", o.jwt_secret_previous);
  if (o.refresh_token_lifetime_s < o.access_token_lifetime_s) {
    problems.unrelated("security.refresh_token_lifetime_s",
                       fmt::format("found {}, allowed from access_token_lifetime_s ({})",
                                   o.refresh_token_lifetime_s, o.access_token_lifetime_s));
  }
}

}  // namespace

void check(const settings& s, problem_list& problems) {
  check_bounds(s, problems);
  check_server(s.server, problems);
  check_keys(s.keys, problems);
  check_cors(s.cors, problems);
  check_models(s, problems);
  check_placement(s, problems);
  check_scheduling(s.scheduling, problems);
  check_database(s.database, problems);
  check_security(s.security, problems);
  check_training(s, problems);
}

void validate(const settings& s) {
  problem_list problems("");
  check(s, problems);
  // Checked last, when all addresses are known: a certificate without an https:// address is a
  // mistake.
  const auto& listen = s.server.listen;
  if (!s.server.tls.certificate.empty() && std::none_of(listen.begin(), listen.end(), is_tls)) {
    problems.unrelated("server.tls.certificate",
                       "found, but no address in server.listen begins with https://; add one, or "
                       "remove the certificate");
  }
  problems.raise();
}

}  // namespace signalbox::config
