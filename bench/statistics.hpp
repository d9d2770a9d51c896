// Medians and percentiles of measured samples, and their form in the result files.
#pragma once

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

namespace signalbox::bench {

// Returns the smallest sample that at least `share` of all samples do not exceed (nearest rank); 0
// without samples. Reorders the samples.
template <typename T>
T percentile(std::vector<T>& samples, double share) {
  if (samples.empty()) return T{};
  const auto rank =
      static_cast<std::size_t>(std::ceil(share * static_cast<double>(samples.size())));
  const std::size_t index = std::min(samples.size(), std::max<std::size_t>(rank, 1)) - 1;
  std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(index),
                   samples.end());
  return samples[index];
}

// Returns the middle sample, or the mean of the two middle ones.
inline double median(std::vector<double> samples) {
  if (samples.empty()) return 0;
  std::sort(samples.begin(), samples.end());
  const std::size_t middle = samples.size() / 2;
  if (samples.size() % 2 == 1) return samples[middle];
  return (samples[middle - 1] + samples[middle]) / 2;
}

// p50, p90, p99 and the greatest sample, each multiplied by `scale` (to change the unit).
template <typename T>
nlohmann::json summary(std::vector<T> samples, double scale = 1) {
  nlohmann::json result{{"count", samples.size()}};
  const auto at = [&](double share) {
    return static_cast<double>(percentile(samples, share)) * scale;
  };
  result["p50"] = at(0.5);
  result["p90"] = at(0.9);
  result["p99"] = at(0.99);
  result["max"] = at(1);
  return result;
}

}  // namespace signalbox::bench
