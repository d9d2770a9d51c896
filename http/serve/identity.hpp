// Who sends a request, by the credential that it shows.
#pragma once

#include <string_view>

#include "access/authentication.hpp"

namespace signalbox::http {

class shard;
struct request_headers;

// A view of the header that showed it.
struct credential {
  std::string_view text;   // empty: none
  bool is_bearer = false;  // may be a user's token, too, and not only a key
};

// Takes the first of Authorization, X-API-Key and X-Admin-Token.
credential credential_of(const request_headers& headers);

// The principal of a request, or the reason why there is none.
struct identity {
  principal_ptr who;
  std::string_view problem;  // empty if there is no credential
};

// Looks the credential up as a key, and a bearer token also as a user's token: as they are now.
// Without a credential it is the anonymous principal, if that is allowed.
identity identify(shard& home, const credential& shown);

}  // namespace signalbox::http
