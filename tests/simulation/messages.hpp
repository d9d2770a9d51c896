// References to the simulated actors, and those of their messages that actors/actors.hpp has with
// CAF's handles in them. All others are those of actors/messages.hpp.
#pragma once

#include <vector>

#include "actors/messages.hpp"
#include "records/runtime.hpp"
#include "tests/simulation/actor.hpp"

namespace signalbox::simulation {

class backend_shell;
class lease_holder;
class pool_shell;
class queue_shell;
class shard;
class supervisor_shell;

using backend_ref = actor_ref<backend_shell>;
using holder_ref = actor_ref<lease_holder>;
using pool_ref = actor_ref<pool_shell>;
using queue_ref = actor_ref<queue_shell>;
using shard_ref = actor_ref<shard>;
using supervisor_ref = actor_ref<supervisor_shell>;

struct backend_added {
  backend_id backend;
  backend_ref actor;
};
struct shard_attached {
  shard_id shard;
  shard_ref inbox;
  std::vector<scheduling::backend_units> in_use;
  std::uint32_t life;
};
struct register_holder {
  holder_kind kind;
  holder_ref actor;
};
struct actor_down {
  actor_id who;
};

}  // namespace signalbox::simulation
