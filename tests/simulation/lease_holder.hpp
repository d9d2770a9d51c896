// The interface of an actor that has a GPU lease or wants one (lease_holder_actor of
// actors/actors.hpp).
#pragma once

#include "tests/simulation/messages.hpp"

namespace signalbox::simulation {

class lease_holder {
 public:
  virtual ~lease_holder() = default;
  virtual void on(const holder_registered& m) = 0;
  virtual void on(const signalbox::lease_granted& m) = 0;
  virtual void on(const signalbox::lease_refused& m) = 0;
  virtual void on(const lease_asked_back& m) = 0;
};

}  // namespace signalbox::simulation
