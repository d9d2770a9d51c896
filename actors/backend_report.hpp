// What a backend tells of itself: its place on the status board, and texts for people.
#pragma once

#include <string>

#include "actors/messages.hpp"
#include "actors/status_board.hpp"
#include "records/runtime.hpp"
#include "scheduling/model_lifecycle.hpp"

namespace signalbox {

// `started_at`: of the current or last run; `endpoint`: of the last run that was ready, or null.
// The backend's names are left to fill in.
backend_status status_of(const scheduling::model_lifecycle& core, wall_time started_at,
                         const backend_endpoint* endpoint);

// Writes the end of a runtime to the log, with the last lines of its output.
void log_crash(const std::string& model, const scheduling::model_lifecycle& core,
               scheduling::exit_reason reason, const runtime_exited& end);

// `last_check`: what the last check that failed found.
std::string why_hung(const scheduling::model_lifecycle& core, const std::string& last_check);

// Returns `end` with what may help behind it, or nothing if there is no cure.
std::string with_cure(const char* end, const std::string& cure);

// Tells clients more than the refusal itself. It has no path and nothing from the runtime's output:
// a cure is one of our own texts, or empty.
std::string refusal_detail(const scheduling::model_lifecycle& core, refusal why,
                           const std::string& cure);

// Tells the operator who ordered a start how it ended. `failure`: how the last runtime ended.
order_report report_of_start(const scheduling::model_lifecycle& core, const std::string& failure);

}  // namespace signalbox
