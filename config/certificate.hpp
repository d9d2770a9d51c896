// The gateway's TLS certificate and private key: reading and checking them, at the start, at a
// reload and in check-config.
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
  std::vector<std::shared_ptr<x509_st>> chain;  // the gateway's own certificate first
  std::shared_ptr<evp_pkey_st> key;
};

struct certificate_finding {
  std::string option;  // "server.tls.certificate"
  std::string text;    // for a person
};

struct certificate_report {
  std::optional<certificate_pair> pair;  // set when there is no mistake
  std::vector<certificate_finding> mistakes;
  std::vector<certificate_finding> doubts;  // the pair works, but probably not as intended
};

certificate_report read_certificate(const tls_options& files,
                                    std::chrono::system_clock::time_point now);

// Loads the pair into the context. On false, OpenSSL's error queue says why.
bool use_pair(ssl_ctx_st* context, const certificate_pair& pair);

// Returns the SHA-256 of a certificate (DER), in lower-case hex.
std::string fingerprint(const x509_st& certificate);

// Describes a certificate for the log: its subject, serial number (as openssl prints it) and
// expiry.
std::string describe(const certificate_pair& pair);

}  // namespace signalbox::config
