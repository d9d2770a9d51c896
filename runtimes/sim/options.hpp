// The options of the simulated runtime; main.cpp reads them from the command line.
#pragma once

#include <cstdint>
#include <string>

#include "runtimes/sim/faults.hpp"

namespace signalbox::sim {

enum class load_mode : std::uint8_t {
  refuse,
  unavailable
};  // while it loads: no open port, or status 503

// How a stream of OpenAI's completions reports its usage; real servers differ. The other APIs have
// one place for it.
enum class usage_mode : std::uint8_t {
  always,        // in a chunk of its own, with empty choices
  asked,         // the same, only with stream_options.include_usage
  finish_chunk,  // in the chunk that carries finish_reason
  never
};

struct sim_options {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free one
  std::string model = "sim";
  bool any_model = false;  // answer for every model name
  double load_time_s = 0;
  sim::load_mode load_mode = load_mode::refuse;
  double prefill_tps = 4000;          // prompt tokens per second of one request; 0: no delay
  double decode_tps = 60;             // completion tokens per second of one request; 0: no delay
  std::uint32_t slots = 64;           // requests that run at once
  std::uint32_t max_waiting = 10000;  // requests that wait for a slot; more get 503
  std::uint32_t threads = 0;  // each connection holds one while it is open, more wait; 0: no limit
  bool nagle = false;         // on, and the head of an answer is sent by itself
  std::uint64_t memory_bytes = 0;     // only reported
  std::uint32_t default_tokens = 64;  // completion length when the request does not say
  std::uint32_t embedding_dim = 64;
  std::uint64_t body_limit = 32u << 20;
  usage_mode usage = usage_mode::asked;
  fault_set faults;
  bool request_faults = false;  // heed x-sim-fault, with which any client can kill it
};

}  // namespace signalbox::sim
