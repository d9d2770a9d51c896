// The interface that starts, watches and stops runtimes. A driver makes handles; a handle is one
// run of one backend. The callback of a handle gets all its events, on the driver's own thread, in
// the order spawned, ready, exited, released: each at most once; exited and released always, once
// start was called (for `external`: after stop, or when the endpoint went away). `checked` answers
// a check.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.hpp"
#include "records/backend_link.hpp"
#include "records/runtime.hpp"
#include "scheduling/gpu_set.hpp"

namespace signalbox::runtimes {

struct run_request {
  std::uint64_t incarnation = 0;
  scheduling::gpu_set gpus;  // CUDA_VISIBLE_DEVICES of the child; without any it sees none
  duration start_timeout{};  // longest time until ready; then it exits with start_timeout
  // Hears of it when the host of a ready runtime has another address.
  std::shared_ptr<backend_link> link = std::make_shared<backend_link>();
};

using event_callback = std::function<void(runtime_event)>;

// One run. The destructor kills what still runs and waits, for a bounded time, until it is gone.
class runtime_handle {
 public:
  virtual ~runtime_handle() = default;
  // Sends SIGTERM to the whole group, and SIGKILL after `grace` (at once when zero; a later call
  // may shorten the grace). The exit is then reported as `asked`, whatever its status. Thread-safe.
  virtual void stop(duration grace) = 0;
  // Asks a runtime that is ready for its health. The answer is `checked` within some seconds,
  // unless it has exited by then. Thread-safe.
  virtual void check() = 0;
};

class runtime_driver {
 public:
  virtual ~runtime_driver() = default;
  // Does not throw for anything that the model's configuration can cause: a missing program, for
  // example, is reported as exited with start_failed, then released.
  virtual std::unique_ptr<runtime_handle> start(const config::model_options& model,
                                                const run_request& request,
                                                event_callback on_event) = 0;
};

struct driver_options {
  std::string data_dir;     // absolute; exists
  std::string program_dir;  // folder of our own programs, searched before PATH
};

// Makes the driver for process and external models; it owns one I/O thread for all runs. It first
// ends what a killed gateway left running on the same data folder, which takes some seconds at
// most. Throws std::system_error when the data folder does not exist.
std::unique_ptr<runtime_driver> make_runtime_driver(driver_options options);

}  // namespace signalbox::runtimes
