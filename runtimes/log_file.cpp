#include "runtimes/log_file.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

namespace signalbox::runtimes {
namespace {

constexpr mode_t folder_mode = 0750, file_mode = 0640;  // output may quote what clients sent

}  // namespace

log_file::log_file(std::string path, std::uint64_t max_bytes)
    : path_(std::move(path)), max_bytes_(max_bytes) {}

void log_file::add(std::string_view line) {
  waiting_.append(line).append("\n");
}

void log_file::write() {
  if (waiting_.empty()) return;
  if (fd_.get() < 0) open();
  const auto text = std::exchange(waiting_, {});
  if (fd_.get() < 0) return;
  // A regular file takes all, or the disk is full.
  const auto written = ::write(fd_.get(), text.data(), text.size());
  if (written < 0) return failed("write");
  size_ += static_cast<std::uint64_t>(written);
  if (static_cast<std::size_t>(written) < text.size()) return failed("write");
  has_failed_ = false;
  if (size_ >= max_bytes_) begin_next();
}

// A link in its place may lead anywhere.
void log_file::open() {
  const auto folder = std::filesystem::path(path_).parent_path();
  if (::mkdir(folder.c_str(), folder_mode) != 0 && errno != EEXIST) return failed("make");
  constexpr int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  fd_ = unique_fd(::open(path_.c_str(), flags, file_mode));
  struct stat found {};
  if (fd_.get() < 0 || ::fstat(fd_.get(), &found) != 0) return failed("open");
  if (!S_ISREG(found.st_mode)) {
    fd_ = unique_fd();
    errno = EINVAL;
    return failed("open");
  }
  size_ = static_cast<std::uint64_t>(found.st_size);
}

void log_file::begin_next() {
  fd_ = unique_fd();
  if (std::rename(path_.c_str(), older_runtime_log(path_).c_str()) != 0) failed("rename");
}

void log_file::failed(const char* what) {
  const int error = errno;
  if (std::exchange(has_failed_, true)) return;
  spdlog::warn("the output of a runtime is lost: cannot {} {}: {}", what, path_,
               std::strerror(error));
}

}  // namespace signalbox::runtimes
