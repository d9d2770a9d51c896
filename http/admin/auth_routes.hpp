// Routes for users: exchange a password, or a refresh token, for new tokens.
#pragma once

#include "http/serve/routes.hpp"

namespace signalbox::http {

void create_token(shard& home, routed_request request);
void renew_token(shard& home, routed_request request);

}  // namespace signalbox::http
