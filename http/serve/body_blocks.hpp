// The text of a body whose length is not known before its end. Its blocks come from the system one
// by one, and go back the same way as they are copied: an allocator may keep what is freed, and the
// body would take twice its length.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace signalbox::http {

class body_blocks {
 public:
  bool empty() const { return blocks_.empty(); }
  void append(std::string_view bytes);  // throws std::bad_alloc
  void move_to(std::string& text);      // appends all, and leaves nothing here
  void clear() { blocks_.clear(); }

 private:
  struct unmap {
    void operator()(char* block) const;
  };
  static std::unique_ptr<char, unmap> map_block();

  std::vector<std::unique_ptr<char, unmap>> blocks_;  // all full but the last
  std::size_t last_ = 0;                              // bytes in the last one
};

}  // namespace signalbox::http
