// GET /admin/models/{model}/logs: the output of a model's runtimes.
#pragma once

namespace signalbox::http {

class shard;
struct routed_request;

void show_logs(shard& home, routed_request request);

}  // namespace signalbox::http
