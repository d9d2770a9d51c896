// How the gateway reaches a runtime: its endpoint, the key that it wants, and whom we trust.
#include <openssl/ssl.h>
#include <boost/test/unit_test.hpp>

#include <string>
#include <vector>

#include "config/address.hpp"
#include "config/trust.hpp"
#include "tests/certificates.hpp"
#include "tests/config/support.hpp"

using namespace signalbox;
using namespace signalbox::config;

namespace {

std::string external(const std::string& endpoint, const std::string& more = "") {
  return "models:\n  - {name: m, driver: external, endpoint: '" + endpoint + "'" + more + "}\n";
}

std::string trust_error(const std::string& file) {
  try {
    make_trust(file);
    return "";
  } catch (const std::runtime_error& e) {
    return e.what();
  }
}

// The error without the machine, and with it.
std::string checked(const std::string& yaml) {
  try {
    load_text(yaml, "f", variables({}), machine_check{.program_dir = "/"});
    return "";
  } catch (const config_error& e) {
    return e.what();
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(connections_to_runtimes)

BOOST_AUTO_TEST_CASE(endpoints) {
  struct parsed {
    std::string text, host;
    std::uint16_t port;
    bool is_tls;
    std::string path;
  };
  const parsed cases[] = {
      {"http://gpu-box.lan:19001", "gpu-box.lan", 19001, false, ""},
      {"http://10.0.0.7:1/", "10.0.0.7", 1, false, ""},
      {"http://host:1234/openai", "host", 1234, false, "/openai"},
      {"http://[::1]:80/a/b//", "::1", 80, false, "/a/b"},
      {"https://host:8443/v1/", "host", 8443, true, "/v1"},
      {"https://api.example.org", "api.example.org", 443, true, ""},
      {"https://api.example.org/v1%20x", "api.example.org", 443, true, "/v1%20x"},
      {"https://[::1]", "::1", 443, true, ""},
      {"https://[::1]:1/x", "::1", 1, true, "/x"},
  };
  for (const auto& one : cases) {
    BOOST_TEST_CONTEXT(one.text) {
      const auto found = parse_endpoint(one.text);
      BOOST_TEST_REQUIRE(found.has_value());
      BOOST_TEST(found->host == one.host);
      BOOST_TEST(found->port == one.port);
      BOOST_TEST(found->is_tls == one.is_tls);
      BOOST_TEST(found->path == one.path);
      BOOST_TEST(error_of(external(one.text)) == "");
    }
  }
}

BOOST_AUTO_TEST_CASE(a_runtimes_key_comes_from_the_environment_and_is_never_shown) {
  const auto yaml = external("http://a:1", ", api_key_env: RUNTIME_KEY");
  const auto s = load_text(yaml, "f", variables({{"RUNTIME_KEY", "rk-1"}}));
  BOOST_TEST(s.models[0].api_key == "rk-1");
  BOOST_TEST(load_text(external("http://a:1"), "f", variables({})).models[0].api_key == "");
  BOOST_TEST(error_of(yaml) ==
             "f:2: models[0].api_key_env: model \"m\" needs the environment variable "
             "\"RUNTIME_KEY\", which is not set");
  BOOST_TEST(error_of(yaml, variables({{"RUNTIME_KEY", ""}})) != "");
  for (const std::string bad : {"a b", "a\r\nX: y", "k\xc3\xa9y", "\x7f"}) {
    const auto error = error_of(yaml, variables({{"RUNTIME_KEY", bad}}));
    BOOST_TEST(error == "f:2: models[0].api_key_env: found a variable with " +
                            std::to_string(bad.size()) +
                            " bytes, allowed up to 4096 of visible ASCII");
  }
  BOOST_TEST(error_of(yaml, variables({{"RUNTIME_KEY", std::string(4096, 'k')}})) == "");
  BOOST_TEST(error_of(yaml, variables({{"RUNTIME_KEY", std::string(4097, 'k')}})) != "");
}

BOOST_AUTO_TEST_CASE(further_authorities_are_for_tls) {
  const std::string rule = "models[0].tls_ca: allowed with an https:// endpoint only";
  BOOST_TEST(error_of(external("http://a:1", ", tls_ca: x.pem")) == "f:2: " + rule);
  BOOST_TEST(error_of("models: [{name: m, command: [run, '{port}'], tls_ca: x.pem}]") ==
             "f:1: " + rule);
  BOOST_TEST(error_of(external("https://a", ", tls_ca: x.pem")) == "");  // may come later
}

BOOST_AUTO_TEST_CASE(authorities_that_cannot_be_read_are_told_before_the_start) {
  const scratch_folder folder;
  const auto good = folder.write("good.pem", make_certificate(make_elliptic_key(), 1));
  const auto empty = folder.write("empty.pem", "no certificate\n");
  const auto damaged =
      folder.write("damaged.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
  BOOST_TEST(trust_error("") == "");
  BOOST_TEST(trust_error(good) == "");
  BOOST_TEST(trust_error("/nowhere/x.pem") ==
             "\"/nowhere/x.pem\" cannot be read: No such file or directory");
  BOOST_TEST(trust_error("/") == "\"/\" is a folder");
  for (const auto& file : {empty, damaged}) {
    BOOST_TEST(trust_error(file).starts_with("\"" + file + "\" contains no certificate"));
    BOOST_TEST(checked(external("https://a", ", tls_ca: " + file))
                   .starts_with("f:2: models[0].tls_ca: \"" + file + "\" contains no"));
  }
  BOOST_TEST(checked(external("https://a", ", tls_ca: " + good)) == "");
}

BOOST_AUTO_TEST_CASE(trust_has_a_lowest_version_and_no_exceptions) {
  const auto trust = make_trust("");
  BOOST_TEST(SSL_CTX_get_min_proto_version(trust.get()) == TLS1_2_VERSION);
  BOOST_TEST(SSL_CTX_get_verify_mode(trust.get()) == SSL_VERIFY_PEER);
}

BOOST_AUTO_TEST_SUITE_END()
