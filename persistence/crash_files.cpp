#include "persistence/crash_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "system/unique_fd.hpp"
#include "text/rfc3339.hpp"

namespace signalbox::persistence {
namespace {

constexpr mode_t folder_mode = 0750, file_mode = 0640;  // output may quote what clients sent
constexpr auto* part_name = ".part";
constexpr std::string_view ending = ".log";
constexpr int most_same_names = 100;

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::string stamp(wall_time at) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(at);
  return fmt::format("{:%Y%m%d-%H%M%S}", fmt::gmtime(std::chrono::system_clock::to_time_t(whole)));
}

// Returns the words of seed 002, and others made like them.
std::string seed_reason(const std::string& reason) {
  return reason == "model_incompatible" ? reason : "runtime_" + reason;
}

// Whether the name begins as stamp() writes it; nothing else is ours to remove.
bool is_crash_file(std::string_view name) {
  constexpr std::string_view form = "00000000-000000_";
  return name.size() > form.size() + ending.size() && name.ends_with(ending) &&
         std::equal(form.begin(), form.end(), name.begin(), [](char wanted, char c) {
           return wanted == '0' ? c >= '0' && c <= '9' : c == wanted;
         });
}

std::string text_of(const crash_record& crash, std::size_t most) {
  auto text = fmt::format("time: {}\nmodel: {}\nreason: {}\ndetail: {}\n\n", rfc3339(crash.time),
                          crash.model, crash.reason, crash.detail);
  auto from = crash.log_tail.end();
  for (auto left = most - std::min(most, text.size()); from != crash.log_tail.begin(); --from) {
    const auto size = std::prev(from)->size() + 1;
    if (size > left) break;
    left -= size;
  }
  for (; from != crash.log_tail.end(); ++from) text.append(*from).append("\n");
  return text;
}

void write_part(int folder, const std::string& text) {
  ::unlinkat(folder, part_name, 0);  // what a killed process left
  const unique_fd fd(
      ::openat(folder, part_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, file_mode));
  if (fd.get() < 0) fail("open");
  const auto written = ::write(fd.get(), text.data(), text.size());
  if (written < 0) fail("write");
  if (static_cast<std::size_t>(written) < text.size()) {
    errno = ENOSPC;
    fail("write");
  }
  if (::fsync(fd.get()) != 0) fail("sync");
}

void name_part(int folder, const std::string& name) {
  const auto stem = name.substr(0, name.size() - ending.size());
  for (int number = 1; number <= most_same_names; ++number) {
    const auto free = number == 1 ? name : fmt::format("{}-{}{}", stem, number, ending);
    if (::renameat2(folder, part_name, folder, free.c_str(), RENAME_NOREPLACE) == 0) return;
    if (errno != EEXIST) fail("rename");
  }
  fail("rename");
}

std::vector<std::string> files_in(int folder) {
  const auto close = [](DIR* dir) { ::closedir(dir); };
  const std::unique_ptr<DIR, decltype(close)> dir(
      ::fdopendir(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), close);
  if (!dir) fail("list");
  std::vector<std::string> names;
  while (const auto* const entry = ::readdir(dir.get())) {
    if (is_crash_file(entry->d_name)) names.emplace_back(entry->d_name);
  }
  std::sort(names.begin(), names.end());  // by time
  return names;
}

}  // namespace

std::string crash_file_name(const crash_record& crash) {
  auto model = crash.model;
  std::replace(model.begin(), model.end(), '/', '_');
  return stamp(crash.time) + "_" + model + "_" + seed_reason(crash.reason) + std::string(ending);
}

crash_files::crash_files(std::string folder, crash_file_limits limits)
    : folder_(std::move(folder)), limits_(limits) {}

void crash_files::add(const crash_record& crash) {
  if (::mkdir(folder_.c_str(), folder_mode) != 0 && errno != EEXIST) fail("make " + folder_);
  const unique_fd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (folder.get() < 0) fail("open " + folder_);
  write_part(folder.get(), text_of(crash, limits_.bytes));
  name_part(folder.get(), crash_file_name(crash));
  const auto names = files_in(folder.get());
  const auto oldest = stamp(crash.time - limits_.age);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool is_too_many = names.size() - i > limits_.files;
    if (is_too_many || names[i] < oldest) ::unlinkat(folder.get(), names[i].c_str(), 0);
  }
}

}  // namespace signalbox::persistence
