// Routes for GPU leases of outside programs: ask, list, show, renew, release.
#pragma once

#include "http/serve/routes.hpp"

namespace signalbox::http {

void create_lease(shard& home, routed_request request);
void list_outside_leases(shard& home, routed_request request);
void show_lease(shard& home, routed_request request);
void renew_outside_lease(shard& home, routed_request request);
void release_outside_lease(shard& home, routed_request request);

}  // namespace signalbox::http
