// The operators' orders that a backend has not carried out yet, and who waits for them.
#pragma once

#include <caf/all.hpp>
#include <string>
#include <utility>
#include <vector>

#include "actors/actors.hpp"

namespace signalbox {

// Every order that is taken is answered once. Who asked may have gone: the order stands.
class backend_orders {
 public:
  using promise = caf::typed_response_promise<order_report>;

  ~backend_orders() { abandon(); }

  promise await_start(promise order) { return await(starts_, std::move(order)); }
  promise await_stop(promise order) { return await(stops_, std::move(order)); }
  void end_starts(const order_report& how) { end(starts_, how); }
  void end_stops(const order_report& how) { end(stops_, how); }

  static order_report replaced() {
    return {order_end::overruled, "The model's backend is being replaced; please try again."};
  }

  // The backend ends.
  void abandon() {
    end_starts(replaced());
    end_stops(replaced());
  }

 private:
  static constexpr std::size_t most_waiting = 64;  // of each kind

  static promise await(std::vector<promise>& all, promise order) {
    if (all.size() < most_waiting) {
      all.push_back(order);
    } else {
      order.deliver(order_report{order_end::overruled, "Too many orders to this model wait."});
    }
    return order;
  }

  static void end(std::vector<promise>& all, const order_report& how) {
    for (auto& order : std::exchange(all, {})) order.deliver(how);
  }

  std::vector<promise> starts_, stops_;
};

}  // namespace signalbox
