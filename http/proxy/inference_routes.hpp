// The routes that are proxied to a model's runtime.
#pragma once

namespace signalbox::http {

class shard;
struct routed_request;

void chat_completions(shard& home, routed_request request);
void completions(shard& home, routed_request request);
void embeddings(shard& home, routed_request request);

}  // namespace signalbox::http
