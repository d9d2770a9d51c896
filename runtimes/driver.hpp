// How a runtime is started, watched and stopped. A driver makes handles; a handle is one run of one
// backend. All events of a handle come through its callback, from the driver's own thread, in the
// order spawned, ready, exited, released; each at most once; exited and released always, once start
// was called (for `external`: after stop, or when it went away).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.hpp"
#include "records/runtime.hpp"

namespace signalbox::runtimes {

struct run_request {
  std::uint64_t incarnation = 0;
  std::uint32_t gpu = 0;  // CUDA_VISIBLE_DEVICES of the child; without need it sees none
  bool needs_gpu = false;
  duration start_timeout{};  // exited with start_timeout when it is not ready by then
};

using event_callback = std::function<void(runtime_event)>;

// One run. Destroying it kills what still runs (and waits until that is gone, bounded).
class runtime_handle {
 public:
  virtual ~runtime_handle() = default;
  // SIGTERM to the whole group, SIGKILL after `grace` (at once when zero, or when called again with
  // a shorter one). The exit is then reported as `asked`, whatever its status. Thread-safe.
  virtual void stop(duration grace) = 0;
};

class runtime_driver {
 public:
  virtual ~runtime_driver() = default;
  // Never throws for what the model's configuration can cause: a program that does not exist is
  // reported as exited with start_failed, then released.
  virtual std::unique_ptr<runtime_handle> start(const config::model_options& model,
                                                const run_request& request,
                                                event_callback on_event) = 0;
};

struct driver_options {
  std::string data_dir;     // absolute; exists
  std::string program_dir;  // where our own binaries stand: searched before PATH
};

// Owns one I/O thread for all runs of all models. Serves driver_kind::process and ::external. First
// ends what a gateway on the same data folder left running when it was killed; takes some seconds
// at most. Throws std::system_error when there is no such folder.
std::unique_ptr<runtime_driver> make_runtime_driver(driver_options options);

}  // namespace signalbox::runtimes
