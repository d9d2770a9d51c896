// A process that cannot open anything more.
#pragma once

#include <sys/resource.h>

namespace signalbox::test {

// While it lives, whatever is opened fails with EMFILE. What is open stays so.
class no_descriptor_left {
 public:
  no_descriptor_left() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit none = before_;
    none.rlim_cur = 3;  // those of the standard streams; poll(2) takes as many
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~no_descriptor_left() { setrlimit(RLIMIT_NOFILE, &before_); }
  no_descriptor_left(const no_descriptor_left&) = delete;
  no_descriptor_left& operator=(const no_descriptor_left&) = delete;

 private:
  rlimit before_{};
};

}  // namespace signalbox::test
