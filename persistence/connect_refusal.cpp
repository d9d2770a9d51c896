#include "persistence/connect_refusal.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <chrono>
#include <memory>
#include <regex>

namespace signalbox::persistence {

namespace {

using clock = std::chrono::steady_clock;

constexpr auto connect_timeout = std::chrono::seconds(5);

// Returns false when it takes too long.
bool finish_connect(PGconn* attempt) {
  const auto deadline = clock::now() + connect_timeout;
  for (auto next = PGRES_POLLING_WRITING; next != PGRES_POLLING_OK; next = PQconnectPoll(attempt)) {
    if (next == PGRES_POLLING_FAILED) return true;
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock::now());
    pollfd watched{PQsocket(attempt), POLLOUT, 0};
    if (next == PGRES_POLLING_READING) watched.events = POLLIN;
    if (left.count() <= 0 || ::poll(&watched, 1, static_cast<int>(left.count())) <= 0) return false;
  }
  return true;
}

}  // namespace

std::string sqlstate_of_refusal(const std::string& url) {
  const std::unique_ptr<PGconn, decltype(&PQfinish)> attempt(PQconnectStart(url.c_str()),
                                                             &PQfinish);
  if (!attempt || PQstatus(attempt.get()) == CONNECTION_BAD) return {};
  PQsetErrorVerbosity(attempt.get(), PQERRORS_SQLSTATE);
  if (!finish_connect(attempt.get())) return {};
  if (PQconnectionNeedsPassword(attempt.get())) return "28P01";
  // libpq writes one line for each address or mode it tried. The last is the verdict: "…:
  // 3D000\n".
  const std::string text = PQerrorMessage(attempt.get());
  std::smatch found;
  return std::regex_search(text, found, std::regex(": +([0-9A-Z]{5})\\s*$")) ? found[1].str()
                                                                             : std::string();
}

bool is_permanent_refusal(const std::string& sqlstate) {
  return sqlstate == "3D000" || sqlstate == "42501" || sqlstate.rfind("28", 0) == 0;
}

}  // namespace signalbox::persistence
