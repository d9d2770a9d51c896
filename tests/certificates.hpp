// Certificates for tests, made when they are needed.
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <stdexcept>
#include <string>

#include "tests/scratch_folder.hpp"

namespace signalbox {

using key_ptr = std::shared_ptr<EVP_PKEY>;

inline key_ptr make_elliptic_key() {
  return {EVP_EC_gen("P-256"), EVP_PKEY_free};
}

// In PEM, whatever `write` writes.
template <class Write>
std::string pem_of(Write write) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
  if (write(out.get()) != 1) throw std::runtime_error("cannot write PEM");
  char* text = nullptr;
  const auto size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<std::size_t>(size)};
}

inline std::string pem_of_key(const key_ptr& key) {
  return pem_of([&](BIO* out) {
    return PEM_write_bio_PrivateKey(out, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
}

inline std::string pem_of_encrypted_key(const key_ptr& key) {
  return pem_of([&](BIO* out) {
    return PEM_write_bio_PKCS8PrivateKey(out, key.get(), EVP_aes_128_cbc(), "secret", 6, nullptr,
                                         nullptr);
  });
}

constexpr std::time_t no_end = 253402300799;  // the last second of 9999 (RFC 5280, 4.1.2.5)

// Signed by its own key. `names` of its server: "DNS:runtime.test,IP:127.0.0.1"; empty: none.
inline std::string make_certificate(const key_ptr& key, long serial, std::time_t begin = 0,
                                    std::time_t end = no_end, const std::string& names = {}) {
  const std::shared_ptr<X509> made(X509_new(), X509_free);
  X509_set_version(made.get(), X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial);
  ASN1_TIME_set(X509_getm_notBefore(made.get()), begin);
  ASN1_TIME_set(X509_getm_notAfter(made.get()), end);
  auto* name = X509_get_subject_name(made.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>("signalbox.test"), -1, -1, 0);
  X509_set_issuer_name(made.get(), name);
  X509_set_pubkey(made.get(), key.get());
  if (!names.empty()) {
    const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> alternatives(
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, names.c_str()),
        X509_EXTENSION_free);
    X509_add_ext(made.get(), alternatives.get(), -1);
  }
  if (X509_sign(made.get(), key.get(), EVP_sha256()) == 0) throw std::runtime_error("X509_sign");
  return pem_of([&](BIO* out) { return PEM_write_bio_X509(out, made.get()); });
}

}  // namespace signalbox
