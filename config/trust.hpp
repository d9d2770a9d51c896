// Whom the gateway trusts when it is the client of a TLS connection to a runtime.
#pragma once

#include <memory>
#include <string>

struct ssl_ctx_st;  // OpenSSL's
struct ssl_st;

namespace signalbox::config {

// A context for connections that refuse a server without a certificate of a trusted authority. Many
// threads may use it at once.
using trust_ptr = std::shared_ptr<ssl_ctx_st>;

// Trusts the system's authorities, and those in the file (PEM; empty: no file). TLS 1.2 and above.
// Throws std::runtime_error that names the file and says what is wrong with it.
trust_ptr make_trust(const std::string& authorities);

// Lets a connection that has not begun accept only the certificate of this host, a name or an IP
// address without brackets, and name the host to the server. On false, OpenSSL's error queue says
// why.
bool expect_host(ssl_st* connection, const std::string& host);

// Returns why the server's certificate was refused; empty when it was not.
std::string certificate_problem(const ssl_st* connection);

}  // namespace signalbox::config
