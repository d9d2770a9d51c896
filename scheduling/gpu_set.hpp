// Amounts of GPU memory: how much a holder needs, and which memory it has.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace signalbox::scheduling {

inline constexpr auto whole_gpu = std::numeric_limits<std::uint64_t>::max();  // all of its bytes
inline constexpr auto all_gpus = std::numeric_limits<std::uint32_t>::max();   // of the machine

// A need of `memory` bytes on each of `count` GPUs.
struct gpu_need {
  std::uint64_t memory = 0;  // bytes, or whole_gpu
  std::uint32_t count = 1;   // or all_gpus

  bool operator==(const gpu_need&) const = default;
};

// The need to be alone on the machine. No other holder fits beside it, because each has at least
// one byte.
inline constexpr gpu_need whole_machine{whole_gpu, all_gpus};

// Memory of one GPU.
struct gpu_share {
  std::uint32_t gpu = 0;     // index
  std::uint64_t memory = 0;  // bytes

  auto operator<=>(const gpu_share&) const = default;
};

// Memory of several GPUs, each at most once, in ascending order of index.
using gpu_set = std::vector<gpu_share>;

std::string indexes_of(const gpu_set& gpus);  // "0,1"
std::uint64_t memory_on(const gpu_set& gpus, std::uint32_t gpu);  // bytes

}  // namespace signalbox::scheduling
