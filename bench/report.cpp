#include "bench/report.hpp"

#include <fmt/format.h>

#include <iostream>

#include "bench/statistics.hpp"

namespace signalbox::bench {

nlohmann::json spread(const std::vector<double>& values) {
  if (values.empty()) return nullptr;
  const auto [min, max] = std::minmax_element(values.begin(), values.end());
  return {{"median", median(values)}, {"min", *min}, {"max", *max}, {"values", values}};
}

void report::figure(const std::string& name, const std::vector<double>& values,
                    const std::string& unit, bound kind, double target) {
  note(name, values, unit);
  const double value = median(values);
  auto& added = figures_.back();
  added["target"] = target;
  added["bound"] = kind == bound::at_least ? "at least" : "at most";
  added["met"] = !values.empty() && (kind == bound::at_least ? value >= target : value <= target);
}

void report::note(const std::string& name, const std::vector<double>& values,
                  const std::string& unit) {
  nlohmann::json added{{"name", name}, {"unit", unit}};
  added.update(values.empty() ? nlohmann::json::object() : spread(values));
  figures_.push_back(std::move(added));
}

void report::failed(const std::string& part, const std::string& why) {
  failures_.push_back({{"part", part}, {"why", why}});
}

nlohmann::json report::json() const {
  return {{"figures", figures_}, {"failures", failures_}, {"parts", parts_}};
}

void report::print_figures() const {
  std::cout << fmt::format("\n{:<62} {:>9}   {:<19} {:<18} {}\n", "figure", "median", "(rounds)",
                           "target", "met");
  for (const auto& f : figures_) {
    const bool bounded = f.contains("target");
    const auto unit = f["unit"].get<std::string>();
    std::cout << fmt::format(
        "{:<62} {:>9.3f}   {:<19} {:<18} {}\n", f["name"].get<std::string>(),
        f.value("median", 0.0),
        fmt::format("{:.3f}..{:.3f}", f.value("min", 0.0), f.value("max", 0.0)),
        bounded ? fmt::format("{} {} {}", f["bound"].get<std::string>(), f["target"].get<double>(),
                              unit)
                : unit,
        !bounded   ? ""
        : f["met"] ? "yes"
                   : "NO");
  }
  for (const auto& f : failures_) {
    std::cout << "FAILED " << f["part"].get<std::string>() << ": " << f["why"].get<std::string>()
              << '\n';
  }
}

}  // namespace signalbox::bench
