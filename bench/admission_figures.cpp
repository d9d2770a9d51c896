// The cost of one admission, from the core's own benchmark.
#include "bench/figures.hpp"

namespace signalbox::bench {

void measure_admission(const workbench& bench, report& out) {
  child_process measured({bench.binary("signalbox-admission-bench"), "--json"},
                         bench.folder() / "admission.log");
  const auto status = measured.wait(std::chrono::minutes(5));
  const auto result = nlohmann::json::parse(measured.output(), nullptr, false);
  if (status != 0 || !result.is_object()) {
    throw std::runtime_error("the admission benchmark failed:\n" + measured.output());
  }
  out.part("admission") = result;
  out.note("admission with 1,000 waiting tickets", {result.at("admit_ns_1k")}, "ns");
  out.note("admission with 1,000,000 waiting tickets", {result.at("admit_ns_1m")}, "ns");
  out.figure("admission: 1,000,000 / 1,000 waiting", {result.at("admit_ratio")}, "x",
             bound::at_most, 2);
  out.note("admission, 100,000 principals, 1,000 waiting", {result.at("principals_admit_ns_1k")},
           "ns");
  out.note("admission, 100,000 principals, 1,000,000 waiting",
           {result.at("principals_admit_ns_1m")}, "ns");
  out.figure("admission, 100,000 principals: 1,000,000 / 1,000 waiting",
             {result.at("principals_admit_ratio")}, "x", bound::at_most, 2);
  out.note("cancellation: 1,000,000 / 1,000 waiting", {result.at("cancel_ratio")}, "x");
}

}  // namespace signalbox::bench
