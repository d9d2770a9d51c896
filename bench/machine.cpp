#include "bench/machine.hpp"

#include <sched.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>

namespace signalbox::bench {
namespace {

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 0;
}

}  // namespace

void keep_on(core which, pid_t pid) {
  cpu_set_t all, one;
  CPU_ZERO(&all);
  CPU_ZERO(&one);
  sched_getaffinity(0, sizeof(all), &all);
  if (CPU_COUNT(&all) < 2) throw std::runtime_error("streams are measured on two cores or more");
  int chosen = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &all) && (chosen < 0 || which == core::last)) chosen = cpu;
  }
  CPU_SET(chosen, &one);
  const auto tasks = "/proc/" + std::to_string(pid) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks)) {
    sched_setaffinity(std::stoi(task.path().filename()), sizeof(one), &one);
  }
}

double load_average() {
  double value = 0;
  return getloadavg(&value, 1) == 1 ? value : -1;
}

nlohmann::json describe_machine() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char date[32];
  std::strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &utc);
  struct sysinfo memory {};
  sysinfo(&memory);
  utsname kernel{};
  uname(&kernel);
  const double bytes = static_cast<double>(memory.totalram) * memory.mem_unit;
  return {{"date", date},
          {"cores", usable_cores()},
          {"processor", processor()},
          {"memory_gib", bytes / (1ull << 30)},
          {"kernel", kernel.release},
          {"load_average_before", load_average()}};
}

}  // namespace signalbox::bench
