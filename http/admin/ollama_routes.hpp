// The routes by which Ollama's clients ask for models. They are answered from our own table, in
// Ollama's shapes, with the models that the key may use.
#pragma once

namespace signalbox::http {

class shard;
struct routed_request;

void list_ollama_models(shard& home, routed_request request);         // /api/tags
void list_loaded_ollama_models(shard& home, routed_request request);  // /api/ps
void show_ollama_model(shard& home, routed_request request);          // /api/show
void show_ollama_version(shard& home, routed_request request);        // /api/version

}  // namespace signalbox::http
