#include "system/private_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "system/unique_fd.hpp"

namespace signalbox {
namespace {

// Until then a new name may be lost, or the old file be back, when the machine goes down.
bool sync_folder_of(const std::filesystem::path& path) {
  const auto folder = path.has_parent_path() ? path.parent_path().string() : std::string(".");
  const unique_fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return false;
  const bool synced = ::fsync(fd.get()) == 0;
  return synced || errno == EINVAL;  // a file system that cannot, and need not
}

}  // namespace

void write_private_file(const std::filesystem::path& path, const std::string& text) {
  const auto part = path.string() + ".part";
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  // A part that an earlier process left may have another mode.
  const bool written = fd >= 0 && ::fchmod(fd, 0600) == 0 &&
                       ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(fd) == 0;
  const int error = errno;
  if (fd >= 0) ::close(fd);
  if (!written || ::rename(part.c_str(), path.c_str()) != 0 || !sync_folder_of(path)) {
    throw std::runtime_error("cannot write " + path.string() + ": " +
                             std::strerror(written ? errno : error));
  }
}

void make_group_file(const std::filesystem::path& path) {
  std::error_code ignored;
  std::filesystem::create_directories(path.parent_path(), ignored);
  const unique_fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
  if (fd.get() >= 0) ::fchmod(fd.get(), 0640);
}

}  // namespace signalbox
