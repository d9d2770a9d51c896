#include "config/certificate.hpp"

#include <boost/test/unit_test.hpp>

#include <vector>

#include "tests/certificates.hpp"
#include "tests/config/support.hpp"

using namespace signalbox;
using namespace signalbox::config;

namespace {

const std::string models = "models: [{name: m, command: [sh, '{port}']}]\n";

std::vector<std::string> texts(const std::vector<certificate_finding>& findings) {
  std::vector<std::string> out;
  for (const auto& finding : findings) out.push_back(finding.option + ": " + finding.text);
  return out;
}

struct certificate_files : scratch_folder {
  key_ptr key = make_elliptic_key();
  std::string good = make_certificate(key, 0xabc);
  tls_options files{write("cert.pem", good), write("key.pem", pem_of_key(key))};

  certificate_report read(
      std::chrono::system_clock::time_point now = std::chrono::system_clock::now()) const {
    return read_certificate(files, now);
  }
  // The text of the one mistake, without the names of the files.
  std::string mistake() const {
    const auto report = read();
    BOOST_TEST(!report.pair.has_value());
    BOOST_TEST_REQUIRE(report.mistakes.size() == 1u);
    auto text = report.mistakes[0].option + ": " + report.mistakes[0].text;
    for (std::size_t at; (at = text.find(path(""))) != std::string::npos;) {
      text.erase(at, path("").size());
    }
    return text;
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(certificates, certificate_files)

BOOST_AUTO_TEST_CASE(a_good_pair) {
  const auto report = read();
  BOOST_TEST_REQUIRE(report.pair.has_value());
  BOOST_TEST(texts(report.mistakes).empty());
  BOOST_TEST(texts(report.doubts).empty());
  BOOST_TEST(report.pair->chain.size() == 1u);
  BOOST_TEST(describe(*report.pair) ==
             "certificate of CN=signalbox.test, serial 0ABC, valid until 9999-12-31T23:59:59Z");
}

BOOST_AUTO_TEST_CASE(a_chain) {
  write("cert.pem", "in words\n" + good + make_certificate(make_elliptic_key(), 2));
  const auto report = read();
  BOOST_TEST_REQUIRE(report.pair.has_value());
  BOOST_TEST(report.pair->chain.size() == 2u);
  BOOST_TEST(describe(*report.pair).find("serial 0ABC") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(what_is_no_certificate) {
  const std::string at = "server.tls.certificate: \"cert.pem\" ";
  write("cert.pem", "");
  BOOST_TEST(mistake() == at + "contains no certificate in PEM");
  write("cert.pem", pem_of_key(key));
  BOOST_TEST(mistake() == at + "contains no certificate in PEM");
  write("cert.pem", good + good.substr(0, good.size() / 2));
  BOOST_TEST(mistake().starts_with(at + "holds a certificate (number 2) that is damaged: "));
  write("cert.pem", std::string(good).erase(100, 64));
  BOOST_TEST(mistake().starts_with(at + "holds a certificate (number 1) that is damaged: "));
  write("cert.pem", std::string((1 << 20) + 1, 'x'));
  BOOST_TEST(mistake() == at + "is larger than 1048576 bytes");
  std::filesystem::remove(path("cert.pem"));
  BOOST_TEST(mistake() == at + "cannot be read: No such file or directory");
  std::filesystem::create_directory(path("cert.pem"));
  BOOST_TEST(mistake() == at + "is a folder");
}

BOOST_AUTO_TEST_CASE(what_is_no_key) {
  const std::string at = "server.tls.private_key: \"key.pem\" ";
  write("key.pem", good);
  BOOST_TEST(mistake() == at + "contains no private key in PEM");
  write("key.pem", pem_of_encrypted_key(key));
  BOOST_TEST(mistake() == at + "is encrypted, allowed is a key without a passphrase");
  write("key.pem", pem_of_key(make_elliptic_key()));
  BOOST_TEST(mistake() == at + "is not the key of the certificate in \"cert.pem\"");
  std::filesystem::remove(path("key.pem"));
  BOOST_TEST(mistake() == at + "cannot be read: No such file or directory");
}

BOOST_AUTO_TEST_CASE(what_openssl_does_not_take) {
  const key_ptr weak(EVP_RSA_gen(512), EVP_PKEY_free);
  write("cert.pem", make_certificate(weak, 1));
  write("key.pem", pem_of_key(weak));
  BOOST_TEST(mistake() ==
             "server.tls.certificate: \"cert.pem\" is refused by OpenSSL: ee key too small");
}

BOOST_AUTO_TEST_CASE(all_mistakes_at_once) {
  std::filesystem::remove(path("cert.pem"));
  std::filesystem::remove(path("key.pem"));
  BOOST_TEST(read().mistakes.size() == 2u);
}

BOOST_AUTO_TEST_CASE(times_are_doubts) {
  constexpr std::time_t begin = 1'000'000'000, end = begin + 10;
  write("cert.pem", make_certificate(key, 1, begin, end));
  const auto doubts = [&](std::time_t now) {
    const auto report = read(std::chrono::system_clock::from_time_t(now));
    BOOST_TEST(report.pair.has_value());
    return texts(report.doubts);
  };
  const auto at = "server.tls.certificate: \"" + path("cert.pem") + "\" ";
  BOOST_TEST(doubts(begin).empty());
  BOOST_TEST(doubts(end).empty());
  BOOST_TEST(doubts(end + 1) == std::vector{at + "expired at 2001-09-09T01:46:50Z"});
  BOOST_TEST(doubts(begin - 1) == std::vector{at + "is not valid before 2001-09-09T01:46:40Z"});
  write("cert.pem", good + make_certificate(key, 1, begin, end));
  BOOST_TEST(doubts(end + 1) == std::vector{at + "holds a certificate of the chain that expired at "
                                                 "2001-09-09T01:46:50Z"});
}

BOOST_AUTO_TEST_CASE(a_key_that_everybody_can_read_is_a_doubt) {
  write("key.pem", pem_of_key(key), 0640);
  BOOST_TEST(texts(read().doubts).empty());
  write("key.pem", pem_of_key(key), 0644);
  const auto report = read();
  BOOST_TEST(report.pair.has_value());
  BOOST_TEST(texts(report.doubts) ==
             std::vector{"server.tls.private_key: \"" + files.private_key +
                         "\" can be read by every user of this machine: chmod o= it"});
}

BOOST_AUTO_TEST_CASE(the_configuration_tells_where_it_stands) {
  std::vector<std::string> warnings;
  const machine_check machine{"/bin", {}, [&](const std::string& w) { warnings.push_back(w); }};
  const auto yaml =
      models +
      "server:\n  listen: ['https://127.0.0.1:0']\n  tls:\n    certificate: " + files.certificate +
      "\n    private_key: " + files.private_key + "\n";
  const auto error = [&]() -> std::string {
    try {
      validate(load_text(yaml, "f", variables({}), machine));
      return "";
    } catch (const config_error& e) {
      return e.what();
    }
  };
  BOOST_TEST(error() == "");
  BOOST_TEST(warnings.empty());
  ::chmod(files.private_key.c_str(), 0604);
  BOOST_TEST(error() == "");
  BOOST_TEST_REQUIRE(warnings.size() == 1u);
  BOOST_TEST(warnings[0] == "f:6: server.tls.private_key: \"" + files.private_key +
                                "\" can be read by every user of this machine: chmod o= it");
  std::filesystem::remove(files.private_key);
  BOOST_TEST(error() == "f:6: server.tls.private_key: \"" + files.private_key +
                            "\" cannot be read: No such file or directory");
  load_text(yaml, "f", variables({}));  // nobody asked
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(addresses_and_files_of_tls_belong_together) {
  const auto error = [](const std::string& server) {
    try {
      validate(load_text(models + "server: " + server + "\n", "f", variables({})));
      return std::string();
    } catch (const config_error& e) {
      return std::string(e.what());
    }
  };
  const std::string tls = "tls: {certificate: c, private_key: k}";
  BOOST_TEST(error("{listen: ['127.0.0.1:80', 'https://127.0.0.1:443'], " + tls + "}") == "");
  BOOST_TEST(error("{listen: ['127.0.0.1:80', 'https://127.0.0.1:443']}") ==
             "f:2: server.listen[1]: found \"https://127.0.0.1:443\", which needs "
             "server.tls.certificate");
  BOOST_TEST(error("{" + tls + "}") ==
             "server.tls.certificate: found, but no address in server.listen begins with "
             "https://; add one, or remove the certificate");
  BOOST_TEST(error("{listen: ['https://127.0.0.1:443'], tls: {certificate: c}}") ==
             "f:2: server.tls.certificate: found without private_key, allowed both or none");
  BOOST_TEST(error("{tls: {private_key: k}}") ==
             "f:2: server.tls.private_key: found without certificate, allowed both or none");
  BOOST_TEST(error("{listen: ['127.0.0.1:80', 'https://127.0.0.1:80'], " + tls + "}") ==
             "f:2: server.listen[1]: found \"https://127.0.0.1:80\" a second time");
}

BOOST_AUTO_TEST_CASE(another_port_leaves_an_address_its_tls) {
  const auto s = load_text(models, "f",
                           variables({{"SIGNALBOX_LISTEN", "https://127.0.0.1:443"},
                                      {"LOAD_BALANCER_PORT", "8443"},
                                      {"SIGNALBOX_TLS_CERTIFICATE", "c"},
                                      {"SIGNALBOX_TLS_PRIVATE_KEY", "k"}}));
  BOOST_TEST(s.server.listen == std::vector<std::string>{"https://127.0.0.1:8443"});
  BOOST_TEST(s.server.tls.certificate == "c");
  BOOST_TEST(s.server.tls.private_key == "k");
}
