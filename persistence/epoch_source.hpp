// Numbers the lives of the lease pool, so that fencing tokens grow over restarts of the pool, of
// the gateway and of the machine. The last number is kept twice: in the database (a sequence) and
// in the data folder (the file `epoch`). The greater one counts, and what is behind catches up:
// after a backup of either was restored, and after a start without the database.
#pragma once

#include <cstdint>
#include <filesystem>
#include <future>
#include <optional>

#include "persistence/database.hpp"

namespace signalbox::persistence {

class epoch_source {
 public:
  // `data_dir` exists.
  epoch_source(database& db, const std::filesystem::path& data_dir);

  // Above 0, greater than all before, and durable when it returns. While the database does not
  // answer, the file alone decides. The answer is waited for a second at most, or 10 s without a
  // file, when the database alone knows the last number. Throws std::runtime_error when the file
  // cannot be read or written, or holds something else. One call at a time.
  std::uint32_t next();

 private:
  using answer = std::optional<std::uint32_t>;
  std::uint32_t last_in_file() const;  // 0: there is none
  answer ask_database(std::uint32_t last);

  database& db_;
  const std::filesystem::path file_;
  std::future<std::uint32_t> asked_;  // its destructor waits for an answer that is under way
};

}  // namespace signalbox::persistence
