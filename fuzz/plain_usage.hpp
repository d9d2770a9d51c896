// What JSON tells of tokens, by a reading of the whole, to be compared with ours.
#pragma once

#include "fuzz/plain_json.hpp"
#include "http/proxy/usage.hpp"

namespace signalbox::fuzz {

// The usage in an answer, or in an event of a stream.
http::token_usage plain_usage(const plain_json& answer);

bool is_same(const http::token_usage& a, const http::token_usage& b);

// Requires what holds for any usage.
void require_bounds(const http::token_usage& usage);

}  // namespace signalbox::fuzz
