#include "scheduling/gpu_set.hpp"

namespace signalbox::scheduling {

std::string indexes_of(const gpu_set& gpus) {
  std::string text;
  for (const auto& share : gpus) text += (text.empty() ? "" : ",") + std::to_string(share.gpu);
  return text;
}

}  // namespace signalbox::scheduling
