// How commands ask a running gateway: that of the data folder, or any that is named.
#pragma once

#include <CLI/App.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace signalbox::commands {

struct gateway_answer {
  int status = 0;
  std::string body;
};

class gateway_client {
 public:
  // Adds --url and --key, which SIGNALBOX_URL and SIGNALBOX_KEY set too. Without a URL it reads
  // gateway.json in the folder that `data_dir` returns.
  gateway_client(CLI::App& command, std::function<std::string()> data_dir);

  // Sends one request, with JSON as its body or without any, and returns the answer, within this
  // time. Throws std::runtime_error that says what to do when no gateway runs or answers.
  // Thread-safe once the command line is parsed.
  gateway_answer send(const std::string& method, const std::string& path,
                      const std::string& json = {},
                      std::chrono::seconds patience = std::chrono::seconds(30)) const;

  // Does the same with GET, but gives a body with status 200 away as it comes, however long that
  // goes on. Only its begin must come within 30 s.
  gateway_answer stream(const std::string& path,
                        const std::function<void(std::string_view)>& on_text) const;

  // Whether the gateway is that of the data folder, and so on this machine.
  bool is_local() const { return options_->url.empty(); }

 private:
  gateway_answer ask(const std::string& method, const std::string& path, const std::string& json,
                     std::chrono::seconds patience,
                     const std::function<void(std::string_view)>& on_text) const;

  struct options {
    std::string url, key;
  };
  std::shared_ptr<options> options_;  // CLI11 fills it in later
  std::function<std::string()> data_dir_;
};

// Returns the text of an error's body, in OpenAI's form or with `detail`; else the body.
std::string error_text(const gateway_answer& answer);

}  // namespace signalbox::commands
