#include "config/trust.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "config/values.hpp"

namespace signalbox::config {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  ERR_clear_error();
  throw std::runtime_error(fmt::format("{}: {}", what, reason != nullptr ? reason : "no reason"));
}

// OpenSSL tells nothing of use about a file that it cannot open.
void require_readable(const std::string& file) {
  std::error_code ignored;  // a file without access fails at opening, below
  if (std::filesystem::is_directory(file, ignored)) {
    throw std::runtime_error(fmt::format("{} is a folder", in_quotes(file)));
  }
  if (!std::ifstream(file)) {
    throw std::runtime_error(
        fmt::format("{} cannot be read: {}", in_quotes(file), std::strerror(errno)));
  }
}

}  // namespace

trust_ptr make_trust(const std::string& authorities) {
  if (!authorities.empty()) require_readable(authorities);
  ERR_clear_error();
  trust_ptr context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (!context || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_default_verify_paths(context.get()) != 1) {
    refuse("TLS for runtimes");
  }
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  // The file may hold the server's own certificate instead of its authority's.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context.get()), X509_V_FLAG_PARTIAL_CHAIN);
  if (!authorities.empty() &&
      SSL_CTX_load_verify_locations(context.get(), authorities.c_str(), nullptr) != 1) {
    refuse(fmt::format("{} contains no certificate that can be read", in_quotes(authorities)));
  }
  ERR_clear_error();  // of authorities of the system that OpenSSL does not like
  return context;
}

bool expect_host(ssl_st* connection, const std::string& host) {
  X509_VERIFY_PARAM* const rules = SSL_get0_param(connection);
  if (X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str()) == 1) return true;
  ERR_clear_error();
  X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set1_host(connection, host.c_str()) == 1 &&
         SSL_set_tlsext_host_name(connection, host.c_str()) == 1;
}

std::string certificate_problem(const ssl_st* connection) {
  const auto result = SSL_get_verify_result(connection);
  return result == X509_V_OK ? "" : X509_verify_cert_error_string(result);
}

}  // namespace signalbox::config
