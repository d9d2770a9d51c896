#include "actors/endpoint.hpp"

#include <utility>

namespace signalbox {

void set_rules(backend_link& link, const config::model_options& m) {
  link.set_rules(m.max_concurrent, from_seconds(m.connection_idle_s));
}

endpoint_ptr make_endpoint(backend_id backend, const config::model_options& m,
                           const runtime_ready& run, std::shared_ptr<backend_link> link) {
  auto upstream = m.upstream_model.empty() ? m.name : m.upstream_model;
  return std::make_shared<const backend_endpoint>(
      backend_endpoint{backend, run.host, run.address, run.port, std::move(upstream),
                       run.incarnation, run.path, m.api_key, run.trust, std::move(link)});
}

}  // namespace signalbox
