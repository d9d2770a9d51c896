#include "http/admin/log_reader.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "records/runtime_log.hpp"

namespace signalbox::http {

namespace {

// Returns where the last `count` lines of the text begin; `count` becomes how many are missing.
std::size_t begin_of_lines(const std::string& text, std::size_t& count) {
  if (count == 0) return text.size();
  for (auto at = text.size(); at > 0; --at) {
    if (at < text.size() && text[at - 1] == '\n' && --count == 0) return at;
  }
  if (!text.empty()) --count;
  return 0;
}

}  // namespace

// Whatever stands there, opening it must not wait.
unique_fd log_reader::open(const std::string& path, std::uint64_t& size) const {
  unique_fd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat found {};
  if (fd.get() < 0 || ::fstat(fd.get(), &found) != 0 || !S_ISREG(found.st_mode)) return {};
  size = static_cast<std::uint64_t>(found.st_size);
  return fd;
}

std::string log_reader::read(const unique_fd& fd, std::uint64_t from, std::size_t bytes) const {
  std::string text(bytes, '\0');
  const auto got = ::pread(fd.get(), text.data(), bytes, static_cast<off_t>(from));
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(0, got)));
  return text;
}

std::string log_reader::last_lines(std::size_t count) {
  std::string text;
  const auto add_before = [&](const unique_fd& fd, std::uint64_t size) {
    const auto bytes = std::min<std::uint64_t>(size, max_tail_bytes - text.size());
    auto part = read(fd, size - bytes, bytes);
    // A line whose begin is not there is none.
    if (bytes < size) part.erase(0, std::min(part.size(), part.find('\n') + 1));
    text.insert(0, part.erase(0, begin_of_lines(part, count)));
  };
  fd_ = open(path_, at_);
  if (fd_.get() >= 0) add_before(fd_, at_);
  std::uint64_t size = 0;
  if (const auto older = open(older_runtime_log(path_), size); older.get() >= 0 && count > 0) {
    add_before(older, size);
  }
  return text;
}

bool log_reader::has_next() const {
  struct stat mine {
  }, there{};
  return ::lstat(path_.c_str(), &there) == 0 && ::fstat(fd_.get(), &mine) == 0 &&
         (mine.st_ino != there.st_ino || mine.st_dev != there.st_dev);
}

std::string log_reader::more() {
  std::uint64_t size = 0;
  if (fd_.get() < 0) {
    fd_ = open(path_, size);
    at_ = 0;
    if (fd_.get() < 0) return {};
  }
  // Before the last look at a file, so that nothing written to it meanwhile is missed.
  const bool is_next = has_next();
  auto text = read(fd_, at_, max_piece_bytes);
  at_ += text.size();
  if (!text.empty()) return text;
  struct stat mine {};
  if (::fstat(fd_.get(), &mine) == 0 && mine.st_size < static_cast<off_t>(at_)) at_ = 0;
  if (is_next) {
    fd_ = open(path_, size);
    at_ = 0;
  }
  return is_next && fd_.get() >= 0 ? more() : text;
}

}  // namespace signalbox::http
