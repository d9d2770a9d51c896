#include "config/certificate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "config/values.hpp"

namespace signalbox::config {
namespace {

constexpr std::size_t max_file_bytes = 1 << 20;

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using bio_ptr = std::unique_ptr<BIO, freed_by<BIO_free>>;
using context_ptr = std::unique_ptr<SSL_CTX, freed_by<SSL_CTX_free>>;
using number_ptr = std::unique_ptr<BIGNUM, freed_by<BN_free>>;
using text_ptr = std::unique_ptr<char, freed_by<[](char* text) { OPENSSL_free(text); }>>;

// Returns the last OpenSSL error and clears the error queue.
std::string openssl_reason() {
  const auto code = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return reason != nullptr ? reason : "for an unknown reason";
}

// The text of a file, or the problem in reading it.
struct file_text {
  std::string text;
  std::string problem;

  ~file_text() { OPENSSL_cleanse(text.data(), text.size()); }
};

file_text read_text(const std::string& name) {
  file_text out;
  std::error_code ignored;  // a file without access fails at opening, below
  if (std::filesystem::is_directory(name, ignored)) {
    out.problem = "is a folder";
    return out;
  }
  std::ifstream in(name, std::ios::binary);
  if (!in) {
    out.problem = fmt::format("cannot be read: {}", std::strerror(errno));
    return out;
  }
  out.text.resize(max_file_bytes + 1);
  in.read(out.text.data(), static_cast<std::streamsize>(out.text.size()));
  const auto size = static_cast<std::size_t>(in.gcount());
  if (in.bad()) out.problem = "cannot be read";
  if (size > max_file_bytes) out.problem = fmt::format("is larger than {} bytes", max_file_bytes);
  out.text.resize(size);
  return out;
}

bio_ptr reader_of(const std::string& text) {
  return bio_ptr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// Returns seconds since 1970. system_clock with its finer units does not reach the year 9999, which
// means "never" in a certificate.
std::time_t time_of(const ASN1_TIME* text) {
  std::tm parts{};
  return ASN1_TIME_to_tm(text, &parts) == 1 ? timegm(&parts) : 0;
}

std::string utc(std::time_t seconds) {
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%FT%TZ", &parts)};
}

// Reads a certificate and its key, and collects all problems with them.
class pair_reader {
 public:
  pair_reader(const tls_options& files, std::chrono::system_clock::time_point now)
      : files_(files), now_(std::chrono::system_clock::to_time_t(now)) {}

  certificate_report read() {
    read_chain();
    read_key();
    if (!report_.mistakes.empty()) return std::move(report_);
    if (X509_check_private_key(pair_.chain[0].get(), pair_.key.get()) != 1) {
      ERR_clear_error();
      mistake(
          key_option, files_.private_key,
          fmt::format("is not the key of the certificate in {}", in_quotes(files_.certificate)));
    } else {
      try_out();
    }
    if (report_.mistakes.empty()) report_.pair = std::move(pair_);
    return std::move(report_);
  }

 private:
  static constexpr auto certificate_option = "server.tls.certificate";
  static constexpr auto key_option = "server.tls.private_key";

  void mistake(const char* option, const std::string& file, const std::string& text) {
    report_.mistakes.push_back({option, fmt::format("{} {}", in_quotes(file), text)});
  }
  void doubt(const char* option, const std::string& file, const std::string& text) {
    report_.doubts.push_back({option, fmt::format("{} {}", in_quotes(file), text)});
  }

  void read_chain();
  void read_key();
  void check_times();
  void try_out();

  const tls_options& files_;
  std::time_t now_;
  certificate_pair pair_;
  certificate_report report_;
};

void pair_reader::read_chain() {
  const auto file = read_text(files_.certificate);
  if (!file.problem.empty()) return mistake(certificate_option, files_.certificate, file.problem);
  const auto in = reader_of(file.text);
  while (X509* one = PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr)) {
    pair_.chain.emplace_back(one, X509_free);
  }
  const auto code = ERR_peek_last_error();
  const bool is_end =
      ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
  const std::string reason = openssl_reason();
  if (!is_end) {
    mistake(certificate_option, files_.certificate,
            fmt::format("holds a certificate (number {}) that is damaged: {}",
                        pair_.chain.size() + 1, reason));
  } else if (pair_.chain.empty()) {
    mistake(certificate_option, files_.certificate, "contains no certificate in PEM");
  } else {
    check_times();
  }
}

void pair_reader::check_times() {
  for (const auto& one : pair_.chain) {
    const auto begin = time_of(X509_get0_notBefore(one.get()));
    const auto end = time_of(X509_get0_notAfter(one.get()));
    const std::string which = one == pair_.chain[0] ? "" : "holds a certificate of the chain that ";
    if (now_ > end) {
      doubt(certificate_option, files_.certificate, which + "expired at " + utc(end));
    } else if (now_ < begin) {
      doubt(certificate_option, files_.certificate, which + "is not valid before " + utc(begin));
    }
  }
}

// Replaces OpenSSL's own callback, which would ask the terminal for a passphrase.
int no_passphrase(char*, int, int, void* was_asked) {
  *static_cast<bool*>(was_asked) = true;
  return -1;
}

void pair_reader::read_key() {
  const auto file = read_text(files_.private_key);
  if (!file.problem.empty()) return mistake(key_option, files_.private_key, file.problem);
  const auto in = reader_of(file.text);
  bool is_encrypted = false;
  pair_.key.reset(PEM_read_bio_PrivateKey(in.get(), nullptr, no_passphrase, &is_encrypted),
                  EVP_PKEY_free);
  ERR_clear_error();
  if (!pair_.key) {
    mistake(key_option, files_.private_key,
            is_encrypted ? "is encrypted, allowed is a key without a passphrase"
                         : "contains no private key in PEM");
    return;
  }
  struct stat info {};
  if (stat(files_.private_key.c_str(), &info) == 0 && (info.st_mode & S_IROTH) != 0) {
    doubt(key_option, files_.private_key, "can be read by every user of this machine: chmod o= it");
  }
}

// Lets OpenSSL judge the pair: it refuses, for example, a key that is too short for its security
// level.
void pair_reader::try_out() {
  const context_ptr context(SSL_CTX_new(TLS_server_method()));
  if (context && use_pair(context.get(), pair_)) return;
  mistake(certificate_option, files_.certificate,
          fmt::format("is refused by OpenSSL: {}", openssl_reason()));
}

}  // namespace

bool use_pair(SSL_CTX* context, const certificate_pair& pair) {
  if (SSL_CTX_use_certificate(context, pair.chain[0].get()) != 1) return false;
  for (std::size_t i = 1; i < pair.chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, pair.chain[i].get()) != 1) return false;
  }
  return SSL_CTX_use_PrivateKey(context, pair.key.get()) == 1;
}

certificate_report read_certificate(const tls_options& files,
                                    std::chrono::system_clock::time_point now) {
  return pair_reader(files, now).read();
}

std::string fingerprint(const X509& certificate) {
  std::array<unsigned char, 32> digest{};
  X509_digest(&certificate, EVP_sha256(), digest.data(), nullptr);
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

std::string describe(const certificate_pair& pair) {
  X509* own = pair.chain[0].get();
  const bio_ptr subject(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(subject.get(), X509_get_subject_name(own), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const auto size = BIO_get_mem_data(subject.get(), &text);
  const number_ptr serial(ASN1_INTEGER_to_BN(X509_get0_serialNumber(own), nullptr));
  const text_ptr digits(BN_bn2hex(serial.get()));
  return fmt::format("certificate of {}, serial {}, valid until {}",
                     std::string_view(text, static_cast<std::size_t>(size)), digits.get(),
                     utc(time_of(X509_get0_notAfter(own))));
}

}  // namespace signalbox::config
