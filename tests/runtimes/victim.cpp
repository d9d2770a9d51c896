// runtimes_victim PROGRAM_DIR DATA_DIR: runs one runtime that leaves a child and ignores SIGTERM,
// says "ready" on stdout, and waits to be killed (or for the end of its input).
#include <unistd.h>

#include <cstdio>

#include "tests/runtimes/support.hpp"

int main(int argc, char** argv) {
  using namespace signalbox::runtimes;
  if (argc != 3) return 2;
  const auto driver = testing::make_driver(argv[1], argv[2]);
  testing::event_log events;
  const auto model =
      testing::sim_model(argv[1], {"--fault", "leave_child", "--fault", "ignore_term"});
  const auto handle = driver->start(model, testing::request_of(1), events.callback());
  events.wait_for<signalbox::runtime_ready>();
  std::puts("ready");
  std::fflush(stdout);
  char byte;
  (void)!read(0, &byte, 1);
  return 0;
}
