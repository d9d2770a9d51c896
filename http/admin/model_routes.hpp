// The routes of operators that tell the states of models, and start, stop, switch and drain them.
#pragma once

namespace signalbox::http {

class shard;
struct routed_request;

void list_model_states(shard& home, routed_request request);
void start_model(shard& home, routed_request request);
void stop_model(shard& home, routed_request request);
void switch_model(shard& home, routed_request request);
void drain_models(shard& home, routed_request request);
void resume_models(shard& home, routed_request request);
void show_status(shard& home, routed_request request);
void show_queues(shard& home, routed_request request);

}  // namespace signalbox::http
