#include "scheduling/gpu_set.hpp"

namespace signalbox::scheduling {

std::string indexes_of(const gpu_set& gpus) {
  std::string text;
  for (const auto& share : gpus) text += (text.empty() ? "" : ",") + std::to_string(share.gpu);
  return text;
}

std::uint64_t memory_on(const gpu_set& gpus, std::uint32_t gpu) {
  for (const auto& share : gpus) {
    if (share.gpu == gpu) return share.memory;
  }
  return 0;
}

}  // namespace signalbox::scheduling
