// simdjson, for everybody who reads JSON text.
#pragma once

// Its assertions are about its own code, not about what it reads, and an inlined step of a few
// instructions has three. The builds that look for faults keep them.
#pragma push_macro("NDEBUG")
#if !defined(NDEBUG) && !defined(SIGNALBOX_CHECKS_SIMDJSON)
#define NDEBUG
#endif
#include <simdjson.h>
#pragma pop_macro("NDEBUG")

#include <cassert>  // again, as assert() follows NDEBUG
