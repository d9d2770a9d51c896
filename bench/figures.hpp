// The measurements, one function for each part of the benchmark. Each starts what it needs, stops
// it again and adds its figures to the report. Each throws when a result is wrong, not merely slow.
#pragma once

#include "bench/contenders.hpp"
#include "bench/report.hpp"

namespace signalbox::bench {

void measure_chat(const workbench& bench, const bench_options& options, report& out);
void measure_keys(const workbench& bench, const bench_options& options, report& out);
void measure_streams(const workbench& bench, const bench_options& options, report& out);
void measure_admission(const workbench& bench, report& out);
void measure_fairness(report& out);

}  // namespace signalbox::bench
