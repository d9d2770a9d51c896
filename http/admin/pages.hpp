// The pages for people, embedded in the binary.
#pragma once

namespace signalbox::http {

class shard;
struct routed_request;

void show_docs(shard& home, routed_request request);
void show_docs_file(shard& home, routed_request request);

}  // namespace signalbox::http
