// Counters of the simulated runtime, for GET /metrics.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <string>

namespace signalbox::sim {

class meters {
 public:
  meters()
      : prompt_tokens(counter("sim_prompt_tokens_total", "Prompt tokens read")),
        completion_tokens(counter("sim_completion_tokens_total", "Completion tokens produced")),
        requests(counter("sim_requests_total", "Inference requests accepted")),
        cancelled(counter("sim_cancelled_total", "Requests whose client went away")),
        connections(counter("sim_connections_total", "Connections accepted")),
        active(prometheus::BuildGauge()
                   .Name("sim_active")
                   .Help("Requests that hold a slot")
                   .Register(registry_)
                   .Add({})) {}

  std::string text() const { return prometheus::TextSerializer().Serialize(registry_.Collect()); }

 private:
  prometheus::Counter& counter(const std::string& name, const std::string& help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry_).Add({});
  }

  prometheus::Registry registry_;

 public:
  prometheus::Counter& prompt_tokens;
  prometheus::Counter& completion_tokens;
  prometheus::Counter& requests;
  prometheus::Counter& cancelled;
  prometheus::Counter& connections;
  prometheus::Gauge& active;
};

}  // namespace signalbox::sim
