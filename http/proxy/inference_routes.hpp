// The handler of all routes that are proxied to a model's runtime. The traits in their rows of the
// route table tell how they differ.
#pragma once

namespace signalbox::http {

class shard;
struct routed_request;

void infer(shard& home, routed_request request);
// For /api/chat, which is Ollama's without an X-Client-ID.
void infer_ollama_chat(shard& home, routed_request request);

}  // namespace signalbox::http
