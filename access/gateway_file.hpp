// <data>/gateway.json tells programs on this machine how to reach the running gateway, and lets
// those in that may read the data folder.
#pragma once

#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "records/keys.hpp"

namespace signalbox {

struct gateway_file {
  int pid = 0;
  std::string version;
  std::string started_at;          // RFC 3339
  std::vector<std::string> urls;   // "http://127.0.0.1:8000"; at least one
  std::string key;                 // a new one for each start; scope admin
  std::string certificate_sha256;  // of the https:// urls, in hex; empty: there are none
};

// Returns the key of the file as the gateway knows it: it is called `local`.
key_record local_key(const std::string& token);

// The file of this process while it serves: written with mode 0600, and removed in the end.
// Thread-safe.
class published_gateway {
 public:
  published_gateway(const std::filesystem::path& data_dir, const std::string& version);
  ~published_gateway();
  published_gateway(const published_gateway&) = delete;

  const std::string& key() const { return content_.key; }  // made for this start
  void publish(const std::vector<std::string>& urls);      // throws std::runtime_error
  // Changes the file, once it is published. A problem is logged.
  void certificate_changed(const std::string& sha256);

 private:
  void write();

  const std::filesystem::path path_;
  std::mutex mutex_;
  gateway_file content_;
};

// Returns the file's content; nothing when there is none, and thus no gateway on that folder. A
// gateway that was killed leaves its file behind. Throws std::runtime_error when it cannot be read.
std::optional<gateway_file> read_gateway_file(const std::filesystem::path& data_dir);

}  // namespace signalbox
