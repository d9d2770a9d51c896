// How many files and sockets this process may have open (RLIMIT_NOFILE).
#pragma once

#include <cstdint>

namespace signalbox {

// Raises the soft limit to the hard one, for this process only: programs that it starts get the
// soft limit that it had, because old programs cannot handle descriptors above 1023 (select(2)).
// Returns the limit now in force. Call it before the first program is started.
std::uint64_t raise_descriptor_limit();

// The limit now in force.
std::uint64_t descriptor_limit();

// Gives the calling process the soft limit from before raise_descriptor_limit(), for a child
// between fork and exec. Async-signal-safe.
void restore_descriptor_limit();

}  // namespace signalbox
