// Routes for usage and for the names of missing models.
#pragma once

namespace signalbox::http {

class shard;
struct routed_request;

void list_usage_groups(shard& home, routed_request request);
void list_usage_of_keys(shard& home, routed_request request);
void list_models_missing(shard& home, routed_request request);

}  // namespace signalbox::http
