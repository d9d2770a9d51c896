// What the last words of a runtime tell of why it ended, and what is likely to help.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace signalbox::runtimes {

// Returns whether a line tells that memory was not enough: of the GPU or of the machine.
bool tells_out_of_memory(const std::vector<std::string>& lines);

// Returns whether a line tells that this runtime cannot serve this model at all.
bool tells_incompatible(const std::vector<std::string>& lines);

// Returns a sentence that says what to do, for the first row of a fixed table that has words of a
// line; empty if none has. It is one of ours and has nothing of the runtime's output in it.
std::string_view likely_cure(const std::vector<std::string>& lines);

}  // namespace signalbox::runtimes
