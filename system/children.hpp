// The children of this process: those that it started, and those that it adopted. A process that
// called adopt_orphans() becomes the parent of each process below it that loses its own parent. An
// adopted child cannot be told by anything of its own: it may have left its session, and emptied
// its environment. It is known as a child that nobody here has started. Thread-safe.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>

namespace signalbox {

// Makes this process the parent of all orphans below it, from now on (PR_SET_CHILD_SUBREAPER).
// Throws std::system_error when it cannot see its children.
void adopt_orphans();

// Notes the child whose pid `branch` returns; that is below 0 when there is none.
pid_t start_child(const std::function<pid_t()>& branch);

// Waits for the end of a child that was started, and leaves it a zombie: its pid is nobody else's
// until wait_for_child(). Returns whether it exited by itself, not by a signal.
bool wait_for_exit(pid_t pid);

// Returns whether a child that was started has ended; it stays a zombie. Does not wait.
bool has_ended(pid_t pid);

// Waits for the end of a child that was started, as waitpid(2) does, and forgets it.
pid_t wait_for_child(pid_t pid, int* status);

// Reaps adopted children that have ended, if it can see them.
void reap_adopted();

// Sends SIGKILL to the adopted children, and reaps those that have ended. Returns how many there
// were. What these leave behind are adopted children, too: after a call that found none, only one
// that was just being adopted may be left, which the next call finds. Throws std::system_error when
// it cannot see them.
std::size_t end_adopted();

}  // namespace signalbox
