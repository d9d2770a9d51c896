#include "access/gateway_file.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "access/authentication.hpp"
#include "config/settings.hpp"
#include "system/private_file.hpp"
#include "text/rfc3339.hpp"

namespace signalbox {
namespace {

std::filesystem::path path_in(const std::filesystem::path& data_dir) {
  return data_dir / "gateway.json";
}

}  // namespace

key_record local_key(const std::string& token) {
  key_record key;
  key.id = key.name = config::local_key_id;
  key.scopes = {"admin"};
  key.digest = digest_of(token);
  return key;
}

published_gateway::published_gateway(const std::filesystem::path& data_dir,
                                     const std::string& version)
    : path_(path_in(data_dir)) {
  content_.pid = ::getpid();
  content_.version = version;
  content_.started_at = rfc3339(std::chrono::system_clock::now());
  content_.key = make_token();
}

published_gateway::~published_gateway() {
  try {  // a file that stays leads to nobody
    const auto there = read_gateway_file(path_.parent_path());
    if (there && there->key == content_.key) std::filesystem::remove(path_);
  } catch (const std::exception&) {
  }
}

void published_gateway::publish(const std::vector<std::string>& urls) {
  const std::lock_guard lock(mutex_);
  content_.urls = urls;
  write();
}

void published_gateway::certificate_changed(const std::string& sha256) {
  const std::lock_guard lock(mutex_);
  content_.certificate_sha256 = sha256;
  if (content_.urls.empty()) return;
  try {
    write();
  } catch (const std::exception& e) {
    spdlog::error("{}; commands cannot reach this gateway over TLS", e.what());
  }
}

void published_gateway::write() {
  nlohmann::json body{{"pid", content_.pid},
                      {"version", content_.version},
                      {"started_at", content_.started_at},
                      {"urls", content_.urls},
                      {"key", content_.key}};
  if (!content_.certificate_sha256.empty()) {
    body["certificate_sha256"] = content_.certificate_sha256;
  }
  write_private_file(path_, body.dump(2) + "\n");
}

std::optional<gateway_file> read_gateway_file(const std::filesystem::path& data_dir) {
  const auto path = path_in(data_dir);
  if (!std::filesystem::exists(path)) return std::nullopt;
  std::ifstream in(path);
  if (!in) throw std::runtime_error(path.string() + ": " + std::strerror(errno));
  try {
    const auto body = nlohmann::json::parse(in);
    gateway_file content;
    content.pid = body.at("pid");
    content.version = body.at("version");
    content.started_at = body.at("started_at");
    content.urls = body.at("urls").get<std::vector<std::string>>();
    content.key = body.at("key");
    content.certificate_sha256 = body.value("certificate_sha256", std::string());
    if (content.urls.empty()) throw std::runtime_error("it has no urls");
    return content;
  } catch (const std::exception& e) {
    throw std::runtime_error(path.string() + " is not what a gateway writes: " + e.what());
  }
}

}  // namespace signalbox
