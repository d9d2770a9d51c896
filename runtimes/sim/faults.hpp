// Faults that the simulated runtime can be told to have, at the start or for one request.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace signalbox::sim {

enum class fault {
  fail_start,         // exits with status 3 and an error on stderr
  crash_after_start,  // =S: aborts S seconds after it was started
  segfault,           // dies by SIGSEGV; at start: after S seconds
  oom,                // "CUDA out of memory" on stderr, then status 1; at start: after S seconds
  slow_health,        // =S: /health answers after S seconds
  abort_on_term,      // answers SIGTERM with SIGABRT
  ignore_term,        // does not answer SIGTERM
  leave_child,        // leaves a process in a session of its own behind
  die_midstream,      // =N: aborts after N events of a stream
  hang,               // never answers
  garbage,            // answers with something that is not HTTP
  bad_json,           // 200 with a body that is not JSON
  half_chunk,         // =N: cuts a stream inside an event, after N whole ones
  close_idle,         // promises keep-alive, then closes the connection after the answer
  status,             // =NNN: answers with this status and an error envelope
  slow_first_byte,    // =S: S seconds more until the first byte
};

// A set of faults, each with at most one argument; fault_help() documents the defaults.
class fault_set {
 public:
  // Adds "NAME" or "NAME=NUMBER". Returns what is wrong with it, or nothing.
  std::optional<std::string> add(std::string_view text, bool for_one_request);

  bool has(fault f) const { return faults_.contains(f); }
  double argument(fault f) const { return faults_.at(f); }

  // Returns the faults of a request on top of those given at the start.
  fault_set with(const fault_set& request) const;

 private:
  std::map<fault, double> faults_;
};

std::string fault_help();

}  // namespace signalbox::sim
