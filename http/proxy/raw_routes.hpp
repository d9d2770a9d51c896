// The handlers of routes whose requests and answers pass as they are: a runtime's own routes, whose
// path or query names the model.
#pragma once

namespace signalbox::http {

class shard;
struct routed_request;

// For llama-server's /props and /slots. The parameter `model` may be missing when there is only
// one.
void relay_by_query(shard& home, routed_request request);

// For /upstream/{model}/{path}. Where the path is one of our routes of inference, the request is
// treated as there, but for the model, which is that of the path.
void relay_by_path(shard& home, routed_request request);

}  // namespace signalbox::http
