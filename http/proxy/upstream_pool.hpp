// The connections of one shard to runtimes that carry no request now, and what all shards do so
// that these are in nobody's way.
//
// A runtime may have a thread for each connection, which holds it while it is idle. So all shards
// together open at most as many connections to a backend as it takes requests at once: a shard that
// opens one more asks the others, which close what is idle. There is always enough of that, as no
// more requests are in flight. The new connection goes ahead meanwhile, and is served once a thread
// is free. Should the runtime have fewer threads than it was said to, new connections hear nothing:
// then what has been idle for a moment is closed, too.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <unordered_map>
#include <vector>

#include "http/proxy/upstream.hpp"
#include "http/proxy/upstream_pools.hpp"

namespace signalbox::http {

// The idle connections of one shard; the one used last is taken first. Not thread-safe.
class upstream_pool {
 public:
  explicit upstream_pool(boost::asio::io_context& io, const upstream_pools* all = nullptr);
  ~upstream_pool();

  // Returns an idle connection to this run of the backend, or a new one; with `fresh` a new one.
  upstream_connection_ptr take(const endpoint_ptr& endpoint, bool fresh);
  // Handles what has arrived by now. Called before a burst of requests goes out, it closes idle
  // connections with bytes that no request asked for, which would be taken for an answer.
  void look();
  // Closes connections to this backend that have been idle since before then, and others as long as
  // there are too many.
  void make_room(const backend_endpoint& endpoint, time_point idle_before);
  void close_all();

 private:
  friend class upstream_connection;

  struct idle_of_backend {
    std::uint64_t incarnation = 0;
    std::vector<upstream_connection_ptr> idle;
  };
  struct new_connection {
    std::weak_ptr<upstream_connection> connection;
    time_point since, next_look;
  };

  void put_back(upstream_connection_ptr connection);
  void forget(const upstream_connection& connection);
  upstream_connection_ptr open(const endpoint_ptr& endpoint);
  void ask_for_room(const endpoint_ptr& endpoint, time_point idle_before);
  void wait_for_new();
  void check_new(time_point now);

  boost::asio::io_context& io_;
  const upstream_pools* all_;  // null: this is the only one
  std::unordered_map<backend_id, idle_of_backend> slots_;
  std::vector<new_connection> new_;  // those that have heard nothing yet, as of the last check
  boost::asio::steady_timer timer_;
};

}  // namespace signalbox::http
