// The second line of defence: finds what is left of a run when its guard was killed, alone or
// together with the gateway.
#pragma once

#include <sys/types.h>

#include <string>

namespace signalbox::runtimes {

// Names runs; the name is the marker in the environment of all processes of the run:
//   DEVICE.INODE of the data folder - PID.START of the gateway - NUMBER
// The folder by its inode, as a path may mean another folder in another container.
class run_names {
 public:
  explicit run_names(const std::string& data_dir);  // throws std::system_error: no such folder

  std::string next() const;
  // Of a gateway on this data folder that is gone; the runs of any other are not ours to end.
  bool is_orphan(const std::string& run_id) const;

 private:
  std::string folder_;
  std::string gateway_;
};

// Kills every living process that carries the run's marker in its environment or is in the guard's
// session (a program may overwrite its environment, and may leave the session; not both by
// accident). Returns how many there were: none means that the run is gone.
std::size_t kill_leftovers(const std::string& run_id, pid_t guard_session);

// Ends all orphans, guards too, and waits until they are gone, for some seconds at most.
void end_orphans(const run_names& names);

}  // namespace signalbox::runtimes
