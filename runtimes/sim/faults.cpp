#include "runtimes/sim/faults.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>

namespace signalbox::sim {
namespace {

struct fault_entry {
  fault kind;
  std::string_view name;
  double fallback;  // argument if none is given
  double max;
  bool for_requests;
  std::string_view help;
};

constexpr double day_s = 86400;

constexpr std::array<fault_entry, 16> table{{
    {fault::fail_start, "fail_start", 0, 0, false, "exit with status 3 at once"},
    {fault::crash_after_start, "crash_after_start", 1, day_s, false, "=S abort after S seconds"},
    {fault::segfault, "segfault", 0, day_s, true, "[=S] SIGSEGV; at start: after S seconds"},
    {fault::oom, "oom", 0, day_s, true,
     "[=S] out of memory, exit status 1; at start: after S seconds"},
    {fault::slow_health, "slow_health", 5, day_s, false, "=S /health answers after S seconds"},
    {fault::abort_on_term, "abort_on_term", 0, 0, false, "SIGABRT on SIGTERM"},
    {fault::ignore_term, "ignore_term", 0, 0, false, "ignore SIGTERM"},
    {fault::leave_child, "leave_child", 0, 0, false, "leave a detached process behind"},
    {fault::die_midstream, "die_midstream", 3, 1e6, true, "=N abort after N events of a stream"},
    {fault::hang, "hang", 0, 0, true, "never answer"},
    {fault::garbage, "garbage", 0, 0, true, "answer with something that is not HTTP"},
    {fault::bad_json, "bad_json", 0, 0, true, "200 with a body that is not JSON"},
    {fault::half_chunk, "half_chunk", 3, 1e6, true, "=N cut a stream inside event N+1"},
    {fault::close_idle, "close_idle", 0, 0, true, "close a connection promised to be kept"},
    {fault::status, "status", 500, 599, true, "=NNN answer with this status"},
    {fault::slow_first_byte, "slow_first_byte", 1, day_s, true, "=S S seconds more to first byte"},
}};

}  // namespace

std::optional<std::string> fault_set::add(std::string_view text, bool for_one_request) {
  const auto equals = text.find('=');
  const auto name = text.substr(0, equals);
  for (const auto& entry : table) {
    if (entry.name != name) continue;
    if (for_one_request && !entry.for_requests) {
      return fmt::format("fault {} can only be given at start", name);
    }
    double value = entry.fallback;
    if (equals != std::string_view::npos) {
      const auto number = text.substr(equals + 1);
      const auto [end, error] =
          std::from_chars(number.data(), number.data() + number.size(), value);
      const bool in_range = value >= 0 && value <= entry.max;
      if (error != std::errc{} || end != number.data() + number.size() || !in_range) {
        return fmt::format("fault {}: the argument must be a number from 0 to {}", name, entry.max);
      }
    }
    if (entry.kind == fault::status && value < 400) {
      return std::string("fault status: the argument must be from 400 to 599");
    }
    faults_[entry.kind] = value;
    return std::nullopt;
  }
  return std::string("no such fault; see --help");
}

fault_set fault_set::with(const fault_set& request) const {
  fault_set result = *this;
  for (const auto& [kind, argument] : request.faults_) result.faults_[kind] = argument;
  return result;
}

std::string fault_help() {
  std::string text =
      "Faults (--fault NAME[=ARG], repeatable; those marked * also for one request, in"
      " the header x-sim-fault, with --request-faults):\n";
  for (const auto& entry : table) {
    text += fmt::format("  {}{:<18}{}\n", entry.for_requests ? '*' : ' ', entry.name, entry.help);
  }
  return text;
}

}  // namespace signalbox::sim
