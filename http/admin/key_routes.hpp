// Routes for keys: make, list, change, rotate, revoke.
#pragma once

#include "http/serve/routes.hpp"

namespace signalbox::http {

void create_api_key(shard& home, routed_request request);
void list_api_keys(shard& home, routed_request request);
void show_api_key(shard& home, routed_request request);
void change_api_key(shard& home, routed_request request);
void rotate_api_key(shard& home, routed_request request);
void revoke_api_key(shard& home, routed_request request);

}  // namespace signalbox::http
