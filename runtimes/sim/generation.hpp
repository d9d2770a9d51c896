// Runs requests, or lets them wait for a slot, each at the declared speed. Everything here is on
// the one thread of the runtime.
#pragma once

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <restinio/request_handler.hpp>
#include <string>

#include "runtimes/sim/api.hpp"
#include "runtimes/sim/meters.hpp"
#include "scheduling/types.hpp"

namespace signalbox::sim {

using sim_clock = std::chrono::steady_clock;

// Closes the connection to this peer without notice. For faults: the HTTP server would announce it.
void cut_connection(const restinio::endpoint_t& peer);
// Sends bytes to this peer past the HTTP server, then cuts the connection.
void send_raw_and_cut(const restinio::endpoint_t& peer, std::string_view bytes);
// Carries out a fault that ends the whole process; returns when the set has none.
void die_if_told(const fault_set& faults);

class generation;
using generation_ptr = std::shared_ptr<generation>;

// The slots of the runtime and the requests that wait for one, first come, first served.
class slot_pool {
 public:
  slot_pool(std::uint32_t slots, std::uint32_t max_waiting, meters& m)
      : free_(slots), max_waiting_(max_waiting), meters_(m) {}

  bool full() const { return free_ == 0 && waiting_.size() >= max_waiting_; }
  void enter(generation_ptr who);
  void leave(generation& who);  // ends a request, whether it has a slot or waits

 private:
  void give_slot(const generation_ptr& who);

  std::uint32_t free_;
  std::uint32_t max_waiting_;
  std::deque<generation_ptr> waiting_;
  meters& meters_;
};

// One inference request from its slot to its last byte.
class generation : public std::enable_shared_from_this<generation> {
 public:
  generation(restinio::asio_ns::io_context& io, restinio::request_handle_t handle,
             inference_request request, fault_set faults, const sim_options& options,
             slot_pool& slots, meters& m);

  void slot_granted();
  void client_left();
  bool over() const { return over_; }

  bool has_slot = false;  // maintained by slot_pool

 private:
  using stream_builder = restinio::response_builder_t<restinio::chunked_output_t>;

  void wait_until(sim_clock::time_point when, void (generation::*then)());
  void answer_whole();
  void begin_stream();
  void send_due_events();
  void written(bool ok);
  bool cut_by_fault();
  void finish();

  restinio::request_handle_t handle_;
  inference_request request_;
  fault_set faults_;
  const sim_options& options_;
  slot_pool& slots_;
  meters& meters_;
  restinio::asio_ns::steady_timer timer_;
  std::string id_;
  std::optional<event_frames> frames_;  // of a stream that has begun
  std::optional<stream_builder> stream_;
  sim_clock::time_point first_token_at_{};
  sim_clock::duration token_gap_{};
  std::uint64_t sent_ = 0;
  bool last_flush_ = false;
  bool over_ = false;
};

}  // namespace signalbox::sim
