#include "runtimes/training/checkpoint_folder.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "system/unique_fd.hpp"
#include "text/utf8.hpp"

namespace signalbox::runtimes {

namespace {

using config::trainer_status_format;

constexpr std::size_t max_name_bytes = 255;

std::string reason_of(int error) {
  if (error == ELOOP) return "is a symbolic link, which is not followed";
  return std::strerror(error);
}

unique_fd open_folder(int parent, const char* name) {
  constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  return unique_fd(::openat(parent, name, flags));
}

std::vector<std::string> names_of(std::string_view checkpoint) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin <= checkpoint.size();) {
    const auto slash = std::min(checkpoint.find('/', begin), checkpoint.size());
    names.emplace_back(checkpoint.substr(begin, slash - begin));
    begin = slash + 1;
  }
  return names;
}

// The trainer may be writing it.
trainer_status read_json(int file, std::size_t size) {
  if (size > max_status_bytes) return parse_status(std::string(max_status_bytes + 1, ' '));
  std::string text(max_status_bytes + 1, '\0');
  std::size_t count = 0;
  while (count < text.size()) {
    const auto n = ::read(file, text.data() + count, text.size() - count);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return unreadable_status(reason_of(errno));
    if (n == 0) break;
    count += static_cast<std::size_t>(n);
  }
  text.resize(count);
  return parse_status(text);
}

// Returns nothing when there is no such file.
std::optional<trainer_status> read_in(int folder, const std::string& name,
                                      trainer_status_format format) {
  // Not blocking: a FIFO without a writer would never be opened.
  const unique_fd file(
      ::openat(folder, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (file.get() < 0 && errno == ENOENT) return std::nullopt;
  struct stat facts {};
  if (file.get() < 0 || ::fstat(file.get(), &facts) != 0) {
    return unreadable_status(reason_of(errno));
  }
  if (!S_ISREG(facts.st_mode)) return unreadable_status("is no plain file");
  if (format == trainer_status_format::json) {
    return read_json(file.get(), static_cast<std::size_t>(facts.st_size));
  }
  return heartbeat_at(static_cast<double>(facts.st_mtim.tv_sec) +
                      static_cast<double>(facts.st_mtim.tv_nsec) / 1e9);
}

// Goes through all folders below one.
class walk {
 public:
  walk(const std::string& file, trainer_status_format format, checkpoint_list& out)
      : file_(file), format_(format), out_(out) {}

  void into(unique_fd folder, const std::string& name, int depth) {
    if (depth > 0) take(folder.get(), name);
    if (depth == checkpoint_folder::max_depth || out_.is_cut) return;
    for (const auto& child : names_in(folder.get())) {
      auto inner = open_folder(folder.get(), child.c_str());
      if (inner.get() < 0) continue;  // no folder, a symbolic link, or gone
      if (++folders_ > checkpoint_folder::max_folders) out_.is_cut = true;
      if (out_.is_cut) return;
      into(std::move(inner), name.empty() ? child : name + "/" + child, depth + 1);
    }
  }

 private:
  void take(int folder, const std::string& name) {
    auto status = read_in(folder, file_, format_);
    if (!status) return;
    if (out_.found.size() == checkpoint_folder::max_checkpoints) {
      out_.is_cut = true;
    } else {
      out_.found.push_back({name, std::move(*status)});
    }
  }

  std::vector<std::string> names_in(int folder) {
    std::vector<std::string> names;
    auto copy = open_folder(folder, ".");
    const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(copy.get()), &::closedir);
    if (!stream) return names;
    copy.release();  // closedir() closes it
    while (const auto* entry = ::readdir(stream.get())) {
      const bool may_be_folder = entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
      if (!may_be_folder || !checkpoint_folder::is_name(entry->d_name)) continue;
      if (names.size() == checkpoint_folder::max_folders) {
        out_.is_cut = true;
        break;
      }
      names.emplace_back(entry->d_name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }

  const std::string& file_;
  const trainer_status_format format_;
  checkpoint_list& out_;
  std::size_t folders_ = 0;
};

unique_fd open_root(const std::filesystem::path& path) {
  return unique_fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

// Returns a descriptor below 0, with errno, when there is no such folder.
unique_fd open_checkpoint(const std::filesystem::path& path, std::string_view checkpoint) {
  auto folder = open_root(path);
  for (const auto& name : names_of(checkpoint)) {
    if (folder.get() < 0) break;
    folder = open_folder(folder.get(), name.c_str());
  }
  return folder;
}

}  // namespace

checkpoint_folder::checkpoint_folder(std::filesystem::path path, std::string file,
                                     trainer_status_format format)
    : path_(std::move(path)), file_(std::move(file)), format_(format) {}

bool checkpoint_folder::is_name(std::string_view checkpoint) {
  const auto has_control = std::any_of(checkpoint.begin(), checkpoint.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (has_control || clean_text(checkpoint) != checkpoint) return false;
  const auto names = names_of(checkpoint);
  return names.size() <= static_cast<std::size_t>(max_depth) &&
         std::all_of(names.begin(), names.end(), [](const std::string& name) {
           return !name.empty() && name != "." && name != ".." && name.size() <= max_name_bytes;
         });
}

bool checkpoint_folder::has(std::string_view checkpoint) const {
  return is_name(checkpoint) && open_checkpoint(path_, checkpoint).get() >= 0;
}

trainer_status checkpoint_folder::read(std::string_view checkpoint) const {
  if (!is_name(checkpoint)) return unreadable_status("is no name of a checkpoint");
  const auto folder = open_checkpoint(path_, checkpoint);
  if (folder.get() < 0) return unreadable_status(reason_of(errno));
  auto status = read_in(folder.get(), file_, format_);
  return status ? std::move(*status) : unreadable_status(fmt::format("there is no {}", file_));
}

checkpoint_list checkpoint_folder::list() const {
  checkpoint_list out;
  auto root = open_root(path_);
  if (root.get() < 0) {
    out.error = reason_of(errno);
  } else {
    walk(file_, format_, out).into(std::move(root), "", 0);
  }
  return out;
}

}  // namespace signalbox::runtimes
