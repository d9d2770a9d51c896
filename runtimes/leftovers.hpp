// The second line of defence: finds the processes of a run whose guard was killed, alone or
// together with the gateway.
#pragma once

#include <sys/types.h>

#include <string>

namespace signalbox::runtimes {

// Makes the names of runs. The name is the marker in the environment of all processes of the run:
//   DEVICE.INODE of the data folder - PID.START of the gateway - NUMBER
// It has the folder's inode because a path may mean another folder in another container.
class run_names {
 public:
  explicit run_names(const std::string& data_dir);  // throws std::system_error

  std::string next() const;
  // Returns whether the run belongs to a gateway on this data folder that is gone. Runs of other
  // folders are not ours to end.
  bool is_orphan(const std::string& run_id) const;

 private:
  std::string folder_;
  std::string gateway_;
};

// Kills every living process that has the marker of the run in its environment or is in the session
// of the guard (a program may overwrite its environment or leave the session, but hardly both by
// accident). Returns how many it found; none means that the run is gone. The guard must not have
// been reaped yet, as its pid could become another session's. Throws std::system_error when it
// cannot look.
std::size_t kill_leftovers(const std::string& run_id, pid_t guard_session);

// Ends all orphans, including guards, and waits some seconds at most until they are gone. Throws
// std::system_error when it cannot look.
void end_orphans(const run_names& names);

}  // namespace signalbox::runtimes
