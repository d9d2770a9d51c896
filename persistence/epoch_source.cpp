#include "persistence/epoch_source.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <limits>
#include <stdexcept>

#include "persistence/session.hpp"
#include "system/private_file.hpp"

namespace signalbox::persistence {

namespace {

// The file alone will do. Without one the database alone knows the last number.
constexpr auto answer_patience = std::chrono::seconds(1);
constexpr auto patience_without_file = std::chrono::seconds(10);
constexpr auto greatest_epoch = std::numeric_limits<std::uint32_t>::max();

// The lock is for those who set the sequence; the number only has to be the same for all.
constexpr const char* take_epoch_lock =
    "SET LOCAL lock_timeout = '500ms'; SELECT pg_advisory_xact_lock(7305519084214117)";

// In the transaction that commits, a sequence is as durable as a row.
std::uint32_t next_in(database& db, std::uint32_t last) {
  std::uint32_t epoch = 0;
  db.with_connection([&](session& session) {
    pqxx::work tx(session.connection);
    tx.exec(take_epoch_lock);
    epoch = tx.exec("SELECT nextval('gateway_epochs')")[0][0].as<std::uint32_t>();
    if (epoch <= last) {
      epoch = last + 1;
      tx.exec_params("SELECT setval('gateway_epochs', $1)", epoch);
    }
    tx.commit();
  });
  return epoch;
}

}  // namespace

epoch_source::epoch_source(database& db, const std::filesystem::path& data_dir)
    : db_(db), file_(data_dir / "epoch") {}

std::uint32_t epoch_source::next() {
  const auto last = last_in_file();
  if (last == greatest_epoch) {
    throw std::runtime_error(fmt::format("{}: no number is left after {}", file_.string(), last));
  }
  const auto epoch = std::max(last + 1, ask_database(last).value_or(0));
  write_private_file(file_, fmt::format("{}\n", epoch));
  return epoch;
}

std::uint32_t epoch_source::last_in_file() const {
  std::error_code problem;
  if (!std::filesystem::exists(file_, problem) && !problem) return 0;
  std::array<char, 16> text{};
  std::ifstream in(file_, std::ios::binary);
  in.read(text.data(), text.size());
  const auto* end = text.data() + in.gcount();
  if (end != text.data() && end[-1] == '\n') --end;
  std::uint32_t last = 0;
  const auto [rest, error] = std::from_chars(text.data(), end, last);
  const bool is_whole = in.gcount() < static_cast<std::streamsize>(text.size());
  if (is_whole && error == std::errc() && rest == end && last > 0) return last;
  throw std::runtime_error(
      fmt::format("{} cannot be read as a number above 0: put it right, or remove it while the "
                  "database is there, which knows the last one too",
                  file_.string()));
}

// In a thread, as neither a connection nor an answer can be waited for so shortly otherwise.
epoch_source::answer epoch_source::ask_database(std::uint32_t last) {
  const auto deadline =
      std::chrono::steady_clock::now() + (last == 0 ? patience_without_file : answer_patience);
  const auto is_late = [&] {
    return asked_.valid() && asked_.wait_until(deadline) != std::future_status::ready;
  };
  try {
    if (!is_late()) {  // what was asked at an earlier call
      asked_ = std::async(std::launch::async, [&db = db_, last] { return next_in(db, last); });
      if (!is_late()) return asked_.get();
    }
    spdlog::warn("the database does not answer: leases are numbered after {} alone",
                 file_.string());
  } catch (const std::exception& e) {
    spdlog::warn("leases are numbered after {} alone: {}", file_.string(), e.what());
  }
  return std::nullopt;
}

}  // namespace signalbox::persistence
