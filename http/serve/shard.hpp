// One thread of the data plane: its loop, its side of admission, its connections to runtimes, and
// the requests that it serves. Everything here runs on the shard's own thread unless it says so.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "access/authentication.hpp"
#include "access/token_cache.hpp"
#include "actors/messages.hpp"
#include "actors/metrics.hpp"
#include "actors/model_table.hpp"
#include "config/settings.hpp"
#include "http/proxy/admission_gate.hpp"
#include "http/proxy/upstream_call.hpp"
#include "http/proxy/upstream_pool.hpp"

namespace signalbox {
class control_plane;
}

namespace signalbox::http {

struct asked_request;
class client_answer;
class client_door;
class gateway_state;
class socket_poller;

// A client's connection: (listen address, RESTinio's connection id) in one number.
using connection_key = std::uint64_t;

class shard final : public call_home {
 public:
  shard(shard_id id, gateway_state& gateway);
  ~shard();

  void run();   // starts the thread
  void stop();  // from any thread: ends the loop, joins, and drops all connections

  shard_id id() const { return id_; }
  boost::asio::io_context& io() { return io_; }
  gateway_state& gateway() { return gateway_; }
  const gateway_state& gateway() const { return gateway_; }
  admission_gate& gate() override { return gate_; }
  token_cache& tokens() { return tokens_; }
  upstream_pool& pool() override { return pool_; }
  bool may_go_on(const call_request& request) override;
  time_point now() const override;
  shard_inbox_ptr inbox() const;  // for any thread
  // Runs a task in a later turn of the loop; from any thread. Dropped when the shard is gone.
  using task_poster = std::function<void(std::function<void()>)>;
  task_poster poster() const;

  // The server's connection listener reports new and closed connections of clients.
  void client_connected(connection_key client);
  void client_gone(connection_key client);
  // Ticks the door while it lives.
  void watch(std::weak_ptr<client_door> door);
  // Writes to the client if a stream has begun: if it is gone, its kernel says so.
  void probe(connection_key client);
  void begin(connection_key client, std::shared_ptr<client_answer> request);
  void ended(connection_key client, const client_answer& request);
  // Keeps a request that is not answered by a runtime, until hand_over() or until the shard stops.
  // stop() destroys those that are left before the server, to which they refer.
  std::uint64_t keep(asked_request request);
  std::unique_ptr<asked_request> hand_over(std::uint64_t id);  // null: no longer kept
  void at_turn_end(std::shared_ptr<upstream_call> call) override;
  // Waits until no request is active, at most until `deadline`, and returns whether none is. Call
  // it on any other thread.
  bool wait_idle(time_point deadline);
  // Cuts off the requests that still run, sends all counts to the actors that own them, and returns
  // when that is done. Call it once, on any other thread.
  void finish();

  // Notes that limits of this principal were used, so that their state is kept for the next start.
  void note_use(const principal_ptr& who);
  // Returns the day that limits and usage count by.
  const scheduling::counted_day& today() override;

  void account(const principal_ptr& who, const served_model_ptr& model, usage_source source,
               std::string_view client_id, usage_counts counts) override;
  // Counts a request for a name that no model has.
  void note_missing(const principal& who, std::string_view model, std::string_view client_id);

 private:
  class inbox_port;
  // A loop whose waiting handlers can be dropped before the loop itself. They keep RESTinio's
  // connections alive, which must go before their server, and the server before the loop.
  struct event_loop : boost::asio::io_context {
    using boost::asio::execution_context::shutdown;
    using boost::asio::io_context::io_context;
  };
  struct pending_usage {
    principal_ptr who;  // the map's key points to these two
    served_model_ptr model;
    usage_counts counts;
  };
  using usage_key =
      std::tuple<const principal*, const served_model*, usage_source, std::int32_t, std::string>;
  // Compares keys also with those that have a string_view. (Clang 14 compares no such tuples.)
  struct usage_order {
    using is_transparent = void;
    template <typename One, typename Other>
    bool operator()(const One& one, const Other& other) const {
      const auto rest = [](const auto& key) {
        return std::tie(std::get<0>(key), std::get<1>(key), std::get<2>(key), std::get<3>(key));
      };
      if (rest(one) != rest(other)) return rest(one) < rest(other);
      return std::string_view(std::get<4>(one)) < std::string_view(std::get<4>(other));
    }
  };

  socket_poller& poller();
  void tick();
  std::vector<std::shared_ptr<client_answer>> all_requests() const;
  void tick_doors(time_point now);
  void preempt(model_index model, work_class work);
  void send(model_index model, shard_batch batch);
  void receive(const std::vector<shard_event>& events);
  void flush_usage();
  void flush_missing();
  void flush_limit_states();
  void end_turn();
  void left(std::size_t requests);

  shard_id id_;
  gateway_state& gateway_;
  event_loop io_{1};
  boost::asio::steady_timer timer_;
  std::shared_ptr<inbox_port> inbox_;
  upstream_pool pool_;
  admission_gate gate_;
  token_cache tokens_;
  std::unordered_map<connection_key, std::vector<std::shared_ptr<client_answer>>> clients_;
  std::unordered_map<std::uint64_t, std::unique_ptr<asked_request>> asked_;
  std::uint64_t next_asked_ = 0;
  std::vector<std::weak_ptr<client_door>> watched_;
  std::vector<std::shared_ptr<upstream_call>> turn_end_;
  std::map<usage_key, pending_usage, usage_order> usage_;      // since the last tick
  std::map<std::string, missing_model, std::less<>> missing_;  // since the last tick
  std::vector<principal_ptr> noted_;
  time_point next_limit_flush_{};
  std::mutex active_mutex_;
  std::condition_variable idle_;
  std::size_t active_ = 0;  // requests of both kinds; under active_mutex_
  wall_time ticked_at_{};   // the last tick
  scheduling::counted_day today_;
  std::thread thread_;
};

}  // namespace signalbox::http
