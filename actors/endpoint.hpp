// Makes what shards need to know about a run of a backend from the options of its model.
#pragma once

#include <memory>

#include "actors/messages.hpp"

namespace signalbox {

// `m` may be newer than the run: then the rules change while connections are open.
void set_rules(backend_link& link, const config::model_options& m);
endpoint_ptr make_endpoint(backend_id backend, const config::model_options& m,
                           const runtime_ready& run, std::shared_ptr<backend_link> link);

}  // namespace signalbox
