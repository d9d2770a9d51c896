// The routes of operators that tell the states of models, and start and stop them.
#pragma once

namespace signalbox::http {

class shard;
struct routed_request;

void list_model_states(shard& home, routed_request request);
void start_model(shard& home, routed_request request);
void stop_model(shard& home, routed_request request);

}  // namespace signalbox::http
