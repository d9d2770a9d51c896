#include "persistence/database.hpp"

#include <fmt/format.h>
#include <libpq-fe.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "persistence/connect_refusal.hpp"
#include "persistence/session.hpp"

namespace signalbox::persistence {

namespace {

using clock = std::chrono::steady_clock;
using session_ptr = std::unique_ptr<session>;

constexpr auto max_wait = std::chrono::seconds(5);
constexpr auto retry_pause = std::chrono::milliseconds(50);

constexpr std::array<std::pair<const char*, const char*>, 7> defaults{{
    {"application_name", "signalbox"},
    {"client_encoding", "UTF8"},
    {"connect_timeout", "5"},
    {"keepalives_idle", "30"},
    {"keepalives_interval", "10"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "30000"},
}};
// Set by the server for the session. The `options` of the URL come later and win.
constexpr const char* session_options =
    "-c statement_timeout=30s -c idle_in_transaction_session_timeout=60s"
    " -c client_min_messages=warning";

void append_option(std::string& out, const std::string& name, const std::string& value) {
  out += name + "='";
  for (const char character : value) {
    if (character == '\'' || character == '\\') out += '\\';
    out += character;
  }
  out += "' ";
}

// Converts both forms of a URL to name='value' pairs, and adds our defaults for what it leaves out.
std::string with_defaults(const std::string& url) {
  const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed(
      PQconninfoParse(url.c_str(), nullptr), &PQconninfoFree);
  if (!parsed) {  // not quoted in the error: it may hold a password
    throw std::invalid_argument(
        "the database URL is malformed: expected postgresql://user:password@host:port/name, or "
        "name=value pairs as libpq takes them");
  }
  std::string out;
  std::string options = session_options;
  for (const PQconninfoOption* option = parsed.get(); option->keyword; ++option) {
    const std::string name = option->keyword;
    if (name == "options") {
      if (option->val) options += std::string(" ") + option->val;
    } else if (option->val) {
      append_option(out, name, option->val);
    } else {
      const auto found = std::find_if(defaults.begin(), defaults.end(),
                                      [&](const auto& entry) { return name == entry.first; });
      if (found != defaults.end()) append_option(out, name, found->second);
    }
  }
  append_option(out, "options", options);
  return out;
}

constexpr const char* lock_timed_out = "55P03";

// Returns whether the same statement may succeed later: connection exceptions (08), an ended
// transaction (25006 read-only after a failover, 25P03 idle), resources (53), operator intervention
// (57: shutdown, crash, starting up, cancelled by a timeout), I/O (58).
bool is_transient(const std::string& sqlstate) {
  const std::string type = sqlstate.substr(0, 2);
  return type == "08" || type == "53" || type == "57" || type == "58" || sqlstate == "25006" ||
         sqlstate == "25P03";
}

// The server sends nothing to an idle session, except that the session ends, or why.
bool is_stale(session& idle) {
  if (!idle.connection.is_open()) return true;
  pollfd watched{idle.connection.sock(), POLLIN, 0};
  return ::poll(&watched, 1, 0) != 0;
}

// libpq indents its hints with a TAB, in a line of their own.
std::string one_line(const std::string& text) {
  std::string line;
  for (const char character : text) {
    const bool is_space = character == '\n' || character == '\t' || character == ' ';
    if (!is_space) {
      line += character;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  if (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

// Connects, and waits briefly for a server that starts up or recovers from a crash.
session_ptr connect(const std::string& url) {
  const auto deadline = clock::now() + max_wait;
  while (true) {
    try {
      return std::make_unique<session>(url);
    } catch (const std::exception& error) {
      const auto ping = PQping(url.c_str());
      const std::string state = ping == PQPING_OK ? sqlstate_of_refusal(url) : std::string();
      if (is_permanent_refusal(state)) {
        throw database_refused(fmt::format("the database does not let us in (SQLSTATE {}): {}",
                                           state, one_line(error.what())));
      }
      if (clock::now() >= deadline || ping != PQPING_REJECT) {
        throw database_unavailable("no connection to the database: " + one_line(error.what()));
      }
    }
    std::this_thread::sleep_for(retry_pause);
  }
}

}  // namespace

struct database::pool {
  const std::string url;
  const std::size_t size;
  std::mutex mutex;
  std::condition_variable returned;
  std::vector<session_ptr> idle;
  std::size_t taken = 0;       // busy, or being connected
  std::vector<session*> busy;  // in use; close() shuts them down
  bool closed = false;

  pool(std::string connect_url, std::size_t limit) : url(std::move(connect_url)), size(limit) {}

  session_ptr take() {
    session_ptr found;
    {
      std::unique_lock lock(mutex);
      if (!returned.wait_for(lock, max_wait, [this] { return closed || taken < size; })) {
        throw database_unavailable(fmt::format("all {} database connections are busy", size));
      }
      if (closed) throw database_unavailable("the program ends");
      ++taken;
      if (!idle.empty()) {
        found = std::move(idle.back());
        idle.pop_back();
      }
    }
    try {
      if (found && is_stale(*found)) found.reset();
      if (!found) found = connect(url);
      const std::lock_guard lock(mutex);
      if (closed) throw database_unavailable("the program ends");
      busy.push_back(found.get());
      return found;
    } catch (...) {
      discard(nullptr);
      throw;
    }
  }

  void give_back(session_ptr used) {
    const std::lock_guard lock(mutex);
    forget(*used);
    idle.push_back(std::move(used));
    --taken;
    returned.notify_one();
  }

  void discard(session_ptr broken) {
    const std::lock_guard lock(mutex);
    if (broken) forget(*broken);
    --taken;
    returned.notify_one();
  }

  void close() {
    const std::lock_guard lock(mutex);
    closed = true;
    for (const session* s : busy) ::shutdown(s->wire, SHUT_RDWR);
    returned.notify_all();
  }

 private:
  void forget(const session& s) { busy.erase(std::find(busy.begin(), busy.end(), &s)); }
};

database::database(std::string url, std::size_t pool_size)
    : pool_(std::make_unique<pool>(with_defaults(url), std::max<std::size_t>(pool_size, 1))) {}

database::~database() = default;

void database::with_connection(const std::function<void(session&)>& work) {
  session_ptr taken = pool_->take();
  const auto fail = [&](const std::exception& error) {
    pool_->discard(std::move(taken));
    throw database_unavailable("the database went away: " + one_line(error.what()));
  };
  try {
    work(*taken);
  } catch (const pqxx::broken_connection& error) {
    fail(error);
  } catch (const pqxx::in_doubt_error& error) {
    fail(error);
  } catch (const pqxx::transaction_rollback& error) {  // deadlock, serialization, unknown outcome
    fail(error);
  } catch (const pqxx::sql_error& error) {
    if (is_transient(error.sqlstate()) || !taken->connection.is_open()) fail(error);
    pool_->give_back(std::move(taken));
    if (error.sqlstate() == lock_timed_out) throw lock_not_granted(one_line(error.what()));
    throw;
  } catch (const std::exception& error) {
    if (!taken->connection.is_open()) fail(error);
    pool_->give_back(std::move(taken));
    throw;
  } catch (...) {
    pool_->discard(std::move(taken));
    throw;
  }
  pool_->give_back(std::move(taken));
}

void database::close() {
  pool_->close();
}

void database::ping() {
  with_connection(
      [](session& session) { pqxx::nontransaction(session.connection).exec("SELECT 1"); });
}

}  // namespace signalbox::persistence
