// The certificate that the gateway shows its clients, and its private key: read from their files
// and looked over, at the start, by check-config and when they are to be read again.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/settings.hpp"

struct evp_pkey_st;  // OpenSSL's
struct ssl_ctx_st;
struct x509_st;

namespace signalbox::config {

struct certificate_pair {
  std::vector<std::shared_ptr<x509_st>> chain;  // ours first
  std::shared_ptr<evp_pkey_st> key;
};

struct certificate_finding {
  std::string option;  // "server.tls.certificate"
  std::string text;    // for a person
};

struct certificate_report {
  std::optional<certificate_pair> pair;  // when there is no mistake
  std::vector<certificate_finding> mistakes;
  std::vector<certificate_finding> doubts;  // it works, but hardly as it is meant to
};

certificate_report read_certificate(const tls_options& files,
                                    std::chrono::system_clock::time_point now);

// False: OpenSSL's error queue says why.
bool use_pair(ssl_ctx_st* context, const certificate_pair& pair);

// Whose it is, its serial number (as openssl shows it) and its last second, for the log.
std::string describe(const certificate_pair& pair);

}  // namespace signalbox::config
