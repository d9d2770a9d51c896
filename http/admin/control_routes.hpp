// The routes that tell about the gateway: models, health, metrics, queues, crashes, the contract.
#pragma once

namespace signalbox::http {

class shard;
struct routed_request;

void list_models(shard& home, routed_request request);
void show_model(shard& home, routed_request request);
void health(shard& home, routed_request request);
void health_live(shard& home, routed_request request);
void health_ready(shard& home, routed_request request);
void show_metrics(shard& home, routed_request request);
void show_openapi(shard& home, routed_request request);
void show_queue(shard& home, routed_request request);
void reload_configuration(shard& home, routed_request request);
void list_crash_records(shard& home, routed_request request);
void show_index(shard& home, routed_request request);

}  // namespace signalbox::http
